-- After fence.lua: return whether a lease was prolonged.
-- KEYS: lease. ARGV: ms, fence.
local now = clock()
local held = redis.call('HMGET', KEYS[1], 'fence', 'until')
if held[1] ~= ARGV[2] or number(held[2]) <= now then return 0 end
redis.call('HSET', KEYS[1], 'until', show(now + ARGV[1] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[1] + FENCE_KEPT_MS)
return 1

-- After fence.lua: end a lease; return whether it was held.
-- KEYS: lease. ARGV: fence.
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', 0)
redis.call('PEXPIRE', KEYS[1], FENCE_KEPT_MS)
return 1

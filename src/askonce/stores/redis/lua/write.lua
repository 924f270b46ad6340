-- After clock.lua: store an entry unless its tags or its lease are out of date; return whether.
-- KEYS: entry, lease and, only with tags, hash.
-- ARGV: blob, ms to live, fence, tag, epoch, ...
if number(ARGV[3]) > 0 and number(redis.call('HGET', KEYS[2], 'fence')) > number(ARGV[3]) then
    return 0
end
if #ARGV > 3 then
    local base = redis.call('HGET', KEYS[3], 'base')
    for i = 4, #ARGV, 2 do
        local epoch = base and (redis.call('HGET', KEYS[3], 't:' .. ARGV[i]) or base)
        if epoch ~= ARGV[i + 1] then return 0 end
    end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1

-- Add to counters, all or none, and return one hash of them.
-- KEYS: hashes of counters. ARGV: the place of the hash to return, then by turns the place of a
-- hash, a name and a number.
for place = 2, #ARGV, 3 do
    local hash = KEYS[tonumber(ARGV[place])]
    local count = redis.call('HINCRBY', hash, ARGV[place + 1], ARGV[place + 2])
    if count == 0 then redis.call('HDEL', hash, ARGV[place + 1]) end
end
return redis.call('HGETALL', KEYS[tonumber(ARGV[1])])

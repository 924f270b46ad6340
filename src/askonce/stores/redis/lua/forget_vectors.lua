-- Remove elements of a vector set.
-- KEYS: vectors, expiry, age, number. ARGV: elements.
for _, element in ipairs(ARGV) do
    redis.call('VREM', KEYS[1], element)
    redis.call('ZREM', KEYS[2], element)
    redis.call('ZREM', KEYS[3], element)
end
return 1

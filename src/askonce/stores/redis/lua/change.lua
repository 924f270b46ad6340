-- After index.lua: record a change, bump tags, and return the number of the change.
-- ARGV after the first: kind, what, tags to bump.
local n, before = follow()
for i = 4, #ARGV do
    redis.call('HSET', index, 't:' .. ARGV[i], show(n))
end
log(n, before, ARGV[2], ARGV[3])
return show(n)

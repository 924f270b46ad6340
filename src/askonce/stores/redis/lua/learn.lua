-- After index.lua: raise epochs to those of another store.
-- ARGV after the first: tag, epoch, tag, epoch and so on.
local n, before = follow()
for i = 2, #ARGV, 2 do
    -- The other store's epoch of a tag that was never bumped here counts even below our base:
    -- otherwise its entries could not be kept here.
    local known = redis.call('HGET', index, 't:' .. ARGV[i])
    if not known or number(ARGV[i + 1]) > number(known) then
        redis.call('HSET', index, 't:' .. ARGV[i], ARGV[i + 1])
        n = math.max(n, number(ARGV[i + 1]))
    end
end
log(n, before, 'none', '')
return show(n)

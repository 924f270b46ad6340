-- After index.lua: return the latest number, then the epochs of tags.
-- ARGV after the first: tags.
local last = show(present())
if redis.call('GET', seq) ~= last then redis.call('SET', seq, last) end
local base = redis.call('HGET', index, 'base')
local found = {last}
for i = 2, #ARGV do
    found[i] = redis.call('HGET', index, 't:' .. ARGV[i]) or base
end
return found

-- Begins every script that uses the server's time.
-- Lua numbers are doubles: whole up to 2^53, which microseconds reach in the year 2255.
local function number(text) return tonumber(text or '') or 0 end
local function show(n) return string.format('%.0f', n) end
local function clock()
    local now = redis.call('TIME')
    return now[1] * 1000000 + now[2]
end

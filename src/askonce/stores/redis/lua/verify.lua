-- After index.lua: start a new index if the server has come back with an older one.
if string.find(redis.call('INFO', 'replication'), 'role:slave', 1, true) then
    return redis.error_reply('READONLY this is a replica')
end
present()
return redis.status_reply('OK')

-- After clock.lua, in every script of leases.
-- How long a fence outlives its lease, so that the next one is above it.
local FENCE_KEPT_MS = 60000

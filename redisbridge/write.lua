-- Writes one frame to a stream, once.
--
-- KEYS  1 stream  2 last sequence of the origin  3 meta of the partition
-- ARGV  1 last sequence of the frame before this one, "" if the frame is the
--         oldest that is not answered
--       2 last sequence of this frame
--       3 frame
--       4 how many frames to keep  5 how long, ms
--       6 how long to keep the origin's sequence, ms
--       7 an incarnation, in case there is none
--
-- Returns 1: written, 0: was written before, -1: not the next one of its
-- origin; then whoever sent it begins again at the oldest not answered.

local sequence = tonumber(ARGV[2])
local stored = tonumber(redis.call('GET', KEYS[2]) or '-1')
if stored >= sequence then
  return 0
end
if ARGV[1] ~= '' and stored ~= tonumber(ARGV[1]) then
  return -1
end

local meta = redis.call('HMGET', KEYS[3], 'incarnation', 'ms', 'n')
if not meta[1] then
  redis.call('HSETNX', KEYS[3], 'incarnation', ARGV[7])
end
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
if meta[2] and tonumber(meta[2]) > ms then
  ms = tonumber(meta[2]) -- the clock stepped back
end
local n = tonumber(meta[3] or '0') + 1

local function add()
  return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4],
    string.format('%.0f-%.0f', ms, n), 'f', ARGV[3])
end
local added = add()
if type(added) == 'table' and added.err and string.find(added.err, 'equal or smaller', 1, true) then
  -- Somebody else wrote to the stream: go on after that.
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      ms = tonumber(string.match(info[i + 1], '^(%d+)')) + 1
    end
  end
  added = add()
end
if type(added) == 'table' and added.err then
  return added
end
redis.call('HSET', KEYS[3], 'ms', string.format('%.0f', ms), 'n', string.format('%.0f', n))
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[6])
if n % 64 == 0 then
  redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f-0', ms - tonumber(ARGV[5])))
end
return 1

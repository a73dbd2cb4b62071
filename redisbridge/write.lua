-- Writes one frame to a stream, once.
--
-- KEYS  1 stream  2 last sequence of the origin  3 ID of the last entry
-- ARGV  1 last sequence of the frame before this one, "" if the frame is the
--         oldest that is not answered
--       2 last sequence of this frame
--       3 frame
--       4 how many frames to keep
--       5 how long to keep the keys, ms
--       6 stamp of the frame, ms  7 how far from its ID the stamp may be, ms
--       8 "1" if it was never written, whatever the last sequence says
--
-- Returns 1: written, 0: was written before, -1: not the next one of its
-- origin; then whoever sent it begins again at the oldest not answered. Another
-- negative number: not written, because the stamp is not near to that time, in
-- ms.
--
-- An entry has two fields: f, the frame, and p, the ID of the entry that was
-- written before it, so that a reader notices what was trimmed in between. The
-- IDs are those of Redis. The epoch of a stream, when it was made, is the name
-- of a consumer group of it: it can be lost only together with the stream.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local sequence = tonumber(ARGV[2])
local stored = tonumber(redis.call('GET', KEYS[2]) or '') or -1
if stored >= sequence and ARGV[8] ~= '1' then
  return 0
end
if ARGV[1] ~= '' and stored ~= tonumber(ARGV[1]) then
  return -1
end

local last = redis.call('GET', KEYS[3]) or ''
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('XGROUP', 'CREATE', KEYS[1], string.format('%010.0f%06d', tonumber(t[1]), tonumber(t[2])), '0', 'MKSTREAM')
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  last = ''
end

local function ms(id) return tonumber(string.match(id, '^(%d+)') or '0') end
local latest = math.max(now, ms(last)) -- the clock may have stepped back

local function add()
  return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'f', ARGV[3], 'p', last)
end

-- Somebody else wrote an ID of the future, after which all others would have to
-- come: that entry goes, and the IDs go on where they were.
local function repair()
  for _ = 1, 1000 do
    local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    if not top or ms(top[1]) <= latest + 60000 then
      local to = string.format('%.0f-0', latest)
      if ms(last) >= latest then to = last end
      if top and ms(top[1]) >= ms(to) then to = top[1] end -- ours and the top are the same, or that is later
      local set = redis.pcall('XSETID', KEYS[1], to, 'MAXDELETEDID', '0-1')
      if type(set) == 'table' and set.err then redis.call('XSETID', KEYS[1], to) end -- before Redis 7
      return
    end
    redis.call('XDEL', KEYS[1], top[1])
  end
end

local added = add()
if type(added) == 'table' and added.err and string.find(added.err, 'exhausted', 1, true) then
  repair()
  added = add()
elseif type(added) == 'string' and ms(added) > latest + 60000 then
  redis.call('XDEL', KEYS[1], added)
  repair()
  added = add()
end
if type(added) ~= 'string' then
  return added
end
if math.abs(ms(added) - tonumber(ARGV[6])) > tonumber(ARGV[7]) then
  redis.call('XDEL', KEYS[1], added)
  return -ms(added)
end
redis.call('SET', KEYS[3], added, 'PX', ARGV[5])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[5])
return 1

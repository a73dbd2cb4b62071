-- Writes one frame to a stream, once.
--
-- KEYS  1 stream  2 last sequence of the origin  3 ID of the last entry
-- ARGV  1 last sequence of the frame before this one
--       2 first sequence of this frame  3 its last; a mark has none: then the
--         first is one more than the last
--       4 frame
--       5 how it comes: "next", behind others that are on their way; "oldest"
--         of those not answered; "again", when that was sent before; "forced",
--         when the last sequence that is kept is known to be wrong
--       6 how many frames to keep
--       7 how long to keep the keys, ms
--       8 stamp of the frame, ms  9 how far from its ID the stamp may be, ms
--      10 when the frame before this one was written, ms; if that is not known,
--         rather later
--
-- Returns when it was written, in ms, as its ID has it; 0: was written before;
-- -1: not the next one of its origin; then whoever sent it begins again at the
-- oldest not answered. Another negative number: not written, because the stamp
-- is not near to that time, in ms.
--
-- An entry has the fields f, the frame, and p, the ID of the entry that was
-- written before it, so that a reader notices what was trimmed in between. If
-- publications of its origin are missing before it, it has n besides: the
-- sequence that should have come, because those from there on were dropped
-- before they came here; or 0, because Redis does not have what it has
-- acknowledged, or cannot know. Then whoever does not know that origin yet can
-- tell. The IDs are those of Redis.

local previous, first, sequence = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local frame, how = ARGV[4], ARGV[5]

-- A big-endian number in a frame.
local function number(f, from, to)
  local n = 0
  for i = from, to do n = n * 256 + string.byte(f, i) end
  return n
end

-- The last sequence of the origin of this frame as the latest entries have it,
-- nil if they have nothing of it. The epoch of an origin is its own.
local function recall()
  local enough = how == 'oldest' and previous or sequence
  local highest
  back(KEYS[1], function(entry)
    local f = frame_of(entry)
    if f and string.sub(f, 25, 32) == string.sub(frame, 25, 32) then
      highest = math.max(highest or 0, number(f, 17, 24) + number(f, 15, 16) - 1)
    end
    return highest and highest >= enough
  end)
  return highest
end

local is_there = is_stream(KEYS[1])

-- Whether the stream was made since the frame before this one was written: then
-- readers know that what was there is gone. Among very many groups its epoch is
-- not looked for.
local function is_new()
  if not is_there then return true end
  if (describe(KEYS[1])['groups'] or 0) > 1000 then return false end
  local epoch = epoch_of(KEYS[1])
  return not epoch or tonumber(epoch) / 1000 > tonumber(ARGV[10])
end

local stored = tonumber(text_at(KEYS[2]) or '')
if how == 'next' then
  stored = stored or 0
elseif previous == 0 and not stored and how == 'oldest' then
  stored = 0 -- it has never sent anything
elseif not stored or how == 'forced' then
  stored = recall()
  if not stored and (previous == 0 or is_new()) then stored = previous end
  if stored then redis.call('SET', KEYS[2], string.format('%.0f', stored), 'PX', ARGV[7]) end
end
if stored and stored >= first then
  return 0
end
if how == 'next' and stored ~= previous then
  return -1
end
local missing
if not stored or stored < previous then
  missing = '0'
elseif stored + 1 < first then
  missing = string.format('%.0f', stored + 1)
end

local last, forgotten = '', false
if not is_there then
  make(KEYS[1], ARGV[7])
else
  last, forgotten = last_written(KEYS[1], KEYS[3])
end
local latest = math.max(now, ms(last)) -- the clock may have stepped back

local function add()
  local command = {'XADD', KEYS[1], 'MAXLEN', '~', ARGV[6], '*', 'f', frame, 'p', last}
  if missing then
    table.insert(command, 'n')
    table.insert(command, missing)
  end
  return redis.pcall(unpack(command))
end

-- Somebody else wrote an ID of the future, after which all others would have to
-- come: that entry goes, and the IDs go on where they were. If nobody knows any
-- more where that is, nothing goes that may be ours.
local function repair()
  for _ = 1, 1000 do
    local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    if not top or ms(top[1]) <= latest + 60000 or forgotten and may_be_ours(top) then
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

-- Takes an entry of our own back. That is no deletion by hand, which readers
-- would have to reckon with.
local function take_back(id)
  local deleted = describe(KEYS[1])['max-deleted-entry-id']
  redis.call('XDEL', KEYS[1], id)
  if deleted then
    redis.pcall('XSETID', KEYS[1], id, 'MAXDELETEDID', deleted == '0-0' and '0-1' or deleted)
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
if math.abs(ms(added) - tonumber(ARGV[8])) > tonumber(ARGV[9]) then
  take_back(added)
  return -ms(added)
end
redis.call('SET', KEYS[3], added, 'PX', ARGV[7])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[7])
return ms(added)

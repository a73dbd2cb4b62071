-- Brings the entries after a place, as many as fit. How large an entry is shows
-- only when it is read, so they are read one at a time.
--
-- KEYS  1 stream
-- ARGV  1 the place  2 how many entries, at most
--       3 after how many bytes to stop  4 how large a frame may be, bytes
--
-- Returns the entries, each with its ID and its fields: none if it is not of
-- ours, three with the beginning of the frame if that is too large.

local most, enough, largest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local from, bytes, entries = ARGV[1], 0, {}

local function is_ours(fields)
  return (#fields == 4 or #fields == 6) and fields[1] == 'f' and fields[3] == 'p'
    and #fields[4] <= 64 and #(fields[6] or '') <= 64 and #(fields[5] or '') <= 64
end

while #entries < most and bytes < enough do
  local reply = redis.call('XREAD', 'COUNT', 1, 'STREAMS', KEYS[1], from)
  if not reply then break end
  local id, fields = unpack(reply[1][2][1])
  for _, field in ipairs(fields) do bytes = bytes + #field + 16 end
  if not is_ours(fields) then
    fields = {}
  elseif #fields[2] > largest then
    fields = {'f', string.sub(fields[2], 1, 1024), 'p'}
  end
  table.insert(entries, {id, fields})
  from = id
end
return entries

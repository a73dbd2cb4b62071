-- What the scripts for a stream share; it stands before each of them.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local function ms(id) return tonumber(string.match(id, '^(%d+)') or '0') end

-- The text that a key has; nothing if it is of another type. SET replaces that.
local function text_at(key)
  local text = redis.pcall('GET', key)
  return type(text) == 'string' and text or nil
end

-- Whether there is a stream. What is there and is none goes.
local function is_stream(key)
  if type(redis.pcall('XLEN', key)) == 'table' then redis.call('PEXPIRE', key, -1) end
  return redis.call('EXISTS', key) == 1
end

-- No clock steps this far: an ID or an epoch beyond is not ours.
local year = 366 * 24 * 3600 * 1000

-- Whether a stream has a consumer group, without going through the others.
local function has_group(stream, name)
  local pending = redis.pcall('XPENDING', stream, name, '0-1', '0-1', 1)
  return type(pending) == 'table' and not pending.err
end

local function is_epoch(name)
  return #name == 16 and string.match(name, '^%d+$') and tonumber(name) > 0 and tonumber(name) / 1000 < now + year
end

-- The epoch of a stream, when it was made, in µs: the name of a consumer group
-- of it, which can be lost only together with the stream. Nothing if there is
-- none. It costs as much as there are groups, whoever has made those.
local function epoch_of(stream)
  local smallest
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local name = group[2]
    if is_epoch(name) and (not smallest or name < smallest) then smallest = name end
  end
  return smallest
end

local function make(stream, life)
  local epoch = string.format('%010.0f%06d', tonumber(t[1]), tonumber(t[2]))
  redis.call('XGROUP', 'CREATE', stream, epoch, '0', 'MKSTREAM')
  redis.call('PEXPIRE', stream, life)
  return epoch
end

-- What XINFO STREAM says, by name; nothing on a server that does not tell.
local function describe(stream)
  local told, named = redis.pcall('XINFO', 'STREAM', stream), {}
  for i = 1, #told, 2 do named[told[i]] = told[i + 1] end
  return named
end

-- About how many bytes Redis goes through to show an entry.
local function size_of(entry)
  local bytes = 0
  for _, field in ipairs(entry[2]) do bytes = bytes + #field + 16 end
  return bytes
end

-- The frame of an entry that looks like ours. One of a stranger may be a copy.
local function frame_of(entry)
  local fields = entry[2]
  if fields[1] == 'f' and fields[3] == 'p' and string.sub(fields[2], 1, 3) == 'Hk\2' then
    return fields[2]
  end
end

-- Calls visit with the latest thousand entries or so, the last one first, until
-- it returns something, and returns that. It reads them two by two, one of which
-- it knows, and stops at 16 MB: somebody may have put in a thousand of any size.
local function back(stream, visit)
  local from, visited, bytes = '+', 0, 0
  repeat
    local entries = redis.call('XREVRANGE', stream, from, '-', 'COUNT', 2)
    for i = from == '+' and 1 or 2, #entries do
      local found = visit(entries[i])
      if found then return found end
      bytes = bytes + size_of(entries[i])
    end
    visited = visited + #entries - 1
    if #entries > 0 then from = entries[#entries][1] end
  until #entries < 2 or visited >= 1000 or bytes > 16e6
end

local function may_be_ours(entry) return frame_of(entry) and ms(entry[1]) < now + year end

-- Whether a text is an ID that a writer may have got.
local function is_id(text)
  local seq = text and string.match(text, '^%d+%-(%d+)$')
  return seq and #seq <= 15 and ms(text) < now + year
end

-- The ID of the last entry that a writer has written, '' if there was none, and
-- whether the key that says so was lost. Then the stream itself says it.
local function last_written(stream, key)
  local last = text_at(key)
  if is_id(last) then return last, false end
  last = back(stream, function(entry) return may_be_ours(entry) and entry[1] end)
    or describe(stream)['last-generated-id'] or ''
  if last == '0-0' or ms(last) >= now + year then last = '' end
  return last, true
end

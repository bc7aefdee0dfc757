-- Reads Quarto Markdown without Quarto: opens includes, fills in variables, and finds every fault of the sources by file
-- and name. Quarto prints most of these faults and still exits with 0, so this reader also checks before Quarto runs.

local FORMAT = 'markdown'
local KINDS = {fig = true, tbl = true, eq = true, sec = true, lst = true, thm = true, lem = true, cor = true, prp = true,
  def = true}

local faults, labels, used = {}, {}, {}
local variables, bibliography

local function fault(file, text)
  table.insert(faults, file .. ': ' .. text)
end

local function contents(file)
  local handle = io.open(file, 'r')
  if not handle then return nil end
  local text = handle:read('a')
  handle:close()
  return text
end

local function variable(name)
  local value = variables
  for key in name:gmatch('[^.]+') do
    value = type(value) == 'table' and value[key] or nil
  end
  return type(value) == 'string' and value or nil
end

-- The text of a file with its variables filled in; includes are opened by `visit` for each file it names.
local function expanded(file, visit)
  local text = contents(file)
  local function shortcode(body)
    local kind, argument = body:match('^(%S+)%s*(.-)$')
    if kind == 'include' then return visit(argument, file) end
    if kind ~= 'var' then
      fault(file, 'unknown shortcode "' .. kind .. '"')
      return ''
    end
    local value = variable(argument)
    if not value then fault(file, 'unknown variable "' .. argument .. '"') end
    return value or ''
  end
  for math in text:gsub('```.-\n```', ''):gmatch('%$[^$\n]+%$') do
    if math:find('{{<', 1, true) then fault(file, 'a shortcode inside the formula ' .. math) end
  end
  return (text:gsub('{{<%s*(.-)%s*>}}', shortcode))
end

local function register(file, label)
  local kind = label:match('^(%a+)%-')
  if not KINDS[kind] then return end
  if labels[label] then fault(file, 'the label "' .. label .. '" is also in ' .. labels[label]) end
  labels[label] = file
end

local function readable(math)
  local html = pandoc.write(pandoc.Pandoc{pandoc.Plain{math}}, 'html', {html_math_method = 'mathml'})
  return html:find('<math', 1, true)
end

-- Faults that only the parsed text of one file shows, and the labels and citations that it has.
local function inspect(file, text)
  local function block(element)
    if element.identifier ~= '' then register(file, element.identifier) end
  end
  pandoc.read(text, FORMAT):walk{
    Figure = block, Table = block, Div = block, CodeBlock = block, Header = block,
    Str = function(word)
      local label = word.text:match('^{#(eq%-[%w-]+)}')
      if label then register(file, label) end
    end,
    Cite = function(cite)
      for _, citation in ipairs(cite.citations) do table.insert(used, {file = file, label = citation.id}) end
    end,
    Link = function(link)
      if link.target:sub(1, 1) == '#' then table.insert(used, {file = file, label = link.target:sub(2), link = true}) end
    end,
    Image = function(image)
      if not contents(image.src) then fault(file, 'the picture "' .. image.src .. '" is missing') end
      if (image.attributes['fig-alt'] or '') == '' then fault(file, 'the picture "' .. image.src .. '" has no fig-alt') end
    end,
    Math = function(math)
      if not readable(math) then fault(file, 'TeX that cannot be read: ' .. math.text) end
    end,
  }
end

-- The whole text below `file`. Generated includes belong to the source that includes them.
local function assembled(file, parent)
  if not contents(file) then
    fault(parent, 'the include "' .. file .. '" is missing')
    return ''
  end
  local own = {}
  local text = expanded(file, function(name, from)
    local inner = assembled(name, from)
    table.insert(own, inner)
    return name:match('^_[^/]*%.qmd$') and '\0' .. #own .. '\0' or inner
  end)
  if file:match('%.qmd$') then inspect(file, (text:gsub('%z%d+%z', ''))) end
  return (text:gsub('%z(%d+)%z', function(k) return own[tonumber(k)] end))
end

local function check_references()
  for _, use in ipairs(used) do
    local kind = use.label:match('^(%a+)%-')
    if KINDS[kind] and not labels[use.label] then
      fault(use.file, 'the reference "' .. use.label .. '" has no target')
    elseif not KINDS[kind] and not use.link and not bibliography[use.label] then
      fault(use.file, 'the citation "' .. use.label .. '" is not in references.bib')
    end
  end
end

local function load_bibliography()
  bibliography = {}
  local text = contents('references.bib') or ''
  for _, entry in ipairs(pandoc.utils.references(pandoc.read(text, 'bibtex'))) do bibliography[entry.id] = true end
end

function Reader(input, options)
  variables = pandoc.json.decode(contents('_variables.yml'), false)
  load_bibliography()
  local text = assembled(input[1].name, input[1].name)
  check_references()
  if #faults > 0 then
    io.stderr:write(table.concat(faults, '\n'), '\n')
    os.exit(1)
  end
  return pandoc.read(text, FORMAT, options)
end

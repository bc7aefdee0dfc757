-- Reads Quarto Markdown without Quarto: opens includes, fills in variables, and finds every fault of the sources by file
-- and name. Quarto prints most of these faults and still exits with 0, so this reader also checks before Quarto runs.

local FORMAT = 'markdown'
local CHECKED = FORMAT .. '-auto_identifiers' -- only labels that somebody wrote may be referred to
local KINDS = {fig = true, tbl = true, eq = true, sec = true, lst = true, thm = true, lem = true, cor = true, prp = true,
  def = true}
-- The classes that the filters, the style sheet and the template of the PDF know; docs/writing.md explains them.
local CLASSES = {
  division = {answer = true, long = true, proof = true, source = true},
  span = {claim = true, ['claim-name'] = true, digest = true, engine = true, method = true, ['number-name'] = true,
    ['source-name'] = true, uses = true},
  link = {data = true, again = true, quoted = true},
  heading = {unnumbered = true},
}

local faults, labels, unnumbered, used = {}, {}, {}, {}
local variables, bibliography, marks, alternatives

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
  local function shortcode(body)
    local kind, argument = body:match('^(%S+)%s*(.-)$')
    if kind == 'include' then return visit(argument, file) end
    if kind ~= 'var' then
      fault(file, 'unknown shortcode "' .. (kind or '') .. '"')
      return ''
    end
    local value = variable(argument)
    if not value then fault(file, 'unknown variable "' .. argument .. '"') end
    return value or ''
  end
  return (contents(file):gsub('{{<%s*([^{}\n]-)%s*>}}', shortcode))
end

local function register(file, label)
  if label == '' then return end
  if labels[label] then fault(file, 'the label "' .. label .. '" is also in ' .. labels[label]) end
  labels[label] = file
end

local function readable(math)
  local html = pandoc.write(pandoc.Pandoc{pandoc.Plain{math}}, 'html', {html_math_method = 'mathml'})
  return html:find('<math', 1, true)
end

-- Pandoc closes at the end of the text what is still open there, and says so without a file's name.
local function check_divisions(file, text)
  local open, code = {}, false
  for line in text:gmatch('[^\n]+') do
    if line:match('^```') then code = not code end
    local opening = not code and line:match('^:::+%s*(.-)%s*$')
    if opening == '' and not table.remove(open) then fault(file, 'a ":::" closes no division') end
    if opening and opening ~= '' then table.insert(open, opening) end
  end
  for _, opening in ipairs(open) do fault(file, 'the division "' .. opening .. '" is not closed') end
end

-- Faults that show before variables are filled in. Returns whether the text can be read at all.
local function check_source(file, text)
  local sound, read = pcall(pandoc.read, text, FORMAT)
  if not sound then
    fault(file, tostring(read):gsub('%s+', ' '))
    return false
  end
  read:walk{Math = function(math)
    if math.text:find('{{<', 1, true) then fault(file, 'a shortcode inside the formula ' .. math.text) end
  end}
  check_divisions(file, text)
  return true
end

-- `{#eq-x}` stands behind a displayed formula; everything else that looks like markup in the text is a mistake.
local function check_words(file, inlines)
  for index, word in ipairs(inlines) do
    local text = word.t == 'Str' and word.text or ''
    local label = text:match('{#([^}%s]*)')
    if label then
      local before = inlines[index - 1]
      if before and before.tag ~= 'Math' then before = inlines[index - 2] end
      if text == '{#' .. label .. '}' and label:match('^eq%-') and before and before.mathtype == 'DisplayMath' then
        register(file, label)
      else
        fault(file, 'the label "' .. label .. '" belongs to nothing')
      end
    elseif text:find('{{<', 1, true) or text:find('>}}', 1, true) then
      fault(file, 'a shortcode that is not closed: ' .. text)
    elseif text:match('^:::') then
      fault(file, 'a ":::" inside a paragraph')
    end
  end
end

-- Faults that only the parsed text of one file shows, and the labels and citations that it has.
local function inspect(file, text)
  local function known(kind)
    return function(element)
      register(file, element.identifier)
      for _, class in ipairs(element.classes) do
        if not CLASSES[kind][class] then fault(file, 'a ' .. kind .. ' has the unknown class "' .. class .. '"') end
      end
    end
  end
  local function labelled(element)
    register(file, element.identifier)
  end
  pandoc.read(text, CHECKED):walk{
    Figure = labelled, Table = labelled, CodeBlock = labelled, Code = labelled,
    Div = known('division'),
    Inlines = function(inlines) check_words(file, inlines) end,
    Header = function(heading)
      known('heading')(heading)
      if heading.classes:includes('unnumbered') then unnumbered[heading.identifier] = true end
    end,
    Span = function(span)
      known('span')(span)
      local claim = span.attributes.claim
      if claim and not marks[claim] then fault(file, 'the claim "' .. claim .. '" is not in claims.csv') end
      if not claim and span.classes:includes('claim') then fault(file, 'a sentence of the class "claim" names none') end
    end,
    Cite = function(cite)
      for _, citation in ipairs(cite.citations) do table.insert(used, {file = file, label = citation.id}) end
    end,
    Link = function(link)
      known('link')(link)
      if link.target:sub(1, 1) == '#' then table.insert(used, {file = file, label = link.target:sub(2), link = true}) end
    end,
    Image = function(image)
      labelled(image)
      if not contents(image.src) then fault(file, 'the picture "' .. image.src .. '" is missing') end
      if (alternatives[image.src] or '') == '' then fault(file, 'the picture "' .. image.src .. '" has no alternative text') end
    end,
    Math = function(math)
      if not readable(math) then fault(file, 'TeX that cannot be read: ' .. math.text) end
    end,
  }
end

-- The whole text below `file`. Generated includes belong to the source that includes them.
local function assembled(file, parent)
  local source = contents(file)
  if not source then
    fault(parent, 'the include "' .. file .. '" is missing')
    return ''
  end
  local own = {}
  local text = expanded(file, function(name, from)
    local inner = assembled(name, from)
    table.insert(own, inner)
    return name:match('^_[^/]*%.qmd$') and '\0' .. #own .. '\0' or inner
  end)
  if file:match('%.qmd$') and check_source(file, source) then inspect(file, (text:gsub('%z%d+%z', ''))) end
  return (text:gsub('%z(%d+)%z', function(k) return own[tonumber(k)] end))
end

local function check_references()
  for _, use in ipairs(used) do
    local numbered = KINDS[use.label:match('^(%a+)%-')]
    if (numbered or use.link) and not labels[use.label] then
      fault(use.file, 'the reference "' .. use.label .. '" has no target')
    elseif numbered and not use.link and unnumbered[use.label] then
      fault(use.file, 'the reference "' .. use.label .. '" leads to a heading without a number')
    elseif not numbered and not use.link and not bibliography[use.label] then
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
  local metadata = pandoc.json.decode(contents('_metadata.yml'), false)
  marks, alternatives = metadata['claim-marks'] or {}, metadata.alternatives or {}
  load_bibliography()
  local text = assembled(input[1].name, input[1].name)
  check_references()
  if #faults > 0 then
    io.stderr:write(table.concat(faults, '\n'), '\n')
    os.exit(1)
  end
  return pandoc.read(text, FORMAT, options)
end

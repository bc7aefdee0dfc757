-- Cross-references without Quarto: numbers figures, tables, listings, equations, sections and theorems in the order of
-- the text, prints them as Quarto prints them, and leaves the same structure to the filter that both engines share.

local NAMES = {fig = 'Figure', tbl = 'Table', lst = 'Listing', eq = 'Equation', sec = 'Section', thm = 'Theorem',
  lem = 'Lemma', cor = 'Corollary', prp = 'Proposition', def = 'Definition'}
local THEOREMS = {thm = true, lem = true, cor = true, prp = true, def = true}
local TYPST = FORMAT == 'typst'

local counts, numbers, sections = {}, {}, {}

local function kind_of(label)
  local kind = (label or ''):match('^(%a+)%-')
  return NAMES[kind] and kind
end

local function number(label)
  local kind = kind_of(label)
  counts[kind] = (counts[kind] or 0) + 1
  numbers[label] = tostring(counts[kind])
  return numbers[label]
end

local function raw(text)
  return pandoc.RawInline('typst', text)
end

local function plain(blocks)
  return pandoc.utils.blocks_to_inlines(blocks)
end

-- Blocks that the walk still goes through, and that stand without a division of their own in the end.
local function bare(blocks)
  return pandoc.Div(blocks, {class = 'bare'})
end

-- A numbered float. HTML: the caption gets its number. Typst: what Quarto writes, numbered by Typst itself.
local function float(label, position, body, caption)
  local kind = kind_of(label)
  local shown = number(label)
  if TYPST then
    local open = pandoc.Plain{raw('#figure([')}
    local close = pandoc.Plain{raw('], caption: figure.caption(position: ' .. position .. ', [')}
    close.content:extend(caption)
    close.content:insert(raw(']), kind: "quarto-float-' .. kind .. '", supplement: "' .. NAMES[kind] .. '") <' .. label .. '>'))
    local blocks = pandoc.Blocks{open}
    blocks:extend(body)
    blocks:insert(close)
    return bare(blocks)
  end
  local numbered = pandoc.Inlines{pandoc.Str(NAMES[kind] .. '\u{a0}' .. shown .. ':'), pandoc.Space()}
  numbered:extend(caption)
  local text = pandoc.Div({pandoc.Plain(numbered)}, {class = 'caption'})
  local blocks = pandoc.Blocks(body)
  blocks:insert(position == 'top' and 1 or #blocks + 1, text)
  return pandoc.Div(blocks, {id = label, class = 'float ' .. kind})
end

local function figure(block)
  if not kind_of(block.identifier) then return nil end
  return float(block.identifier, 'bottom', {pandoc.Plain(plain(block.content))}, plain(block.caption.long))
end

local function listed(block)
  if not kind_of(block.identifier) then return nil end
  local caption = plain(pandoc.read(block.attributes['lst-cap'] or '', 'markdown').blocks)
  return float(block.identifier, 'top', {pandoc.CodeBlock(block.text, {class = table.concat(block.classes, ' ')})}, caption)
end

local function tabular(block)
  if not kind_of(block.identifier) then return nil end
  local caption, label = plain(block.caption.long), block.identifier
  block.caption, block.attr = pandoc.Caption(), pandoc.Attr()
  return float(label, 'top', {block}, caption)
end

local function open_with(block, inlines)
  local opening, first = pandoc.Inlines(inlines), block.content[1]
  if first and first.t == 'Para' then
    opening:extend(block.content:remove(1).content)
  end
  block.content:insert(1, pandoc.Para(opening))
end

local function theorem(block)
  local kind = kind_of(block.identifier)
  if not THEOREMS[kind] then return nil end
  local title = pandoc.Inlines{pandoc.Str(NAMES[kind] .. '\u{a0}' .. number(block.identifier))}
  if block.content[1].t == 'Header' then
    title:extend{pandoc.Space(), pandoc.Str('(')}
    title:extend(block.content:remove(1).content)
    title:insert(pandoc.Str(')'))
  end
  if TYPST then
    local opening = pandoc.Plain{raw('#theorem(['), pandoc.Span(title), raw('])[')}
    block.content:insert(1, opening)
    block.content:insert(pandoc.Plain{raw('] <' .. block.identifier .. '>')})
    return bare(block.content)
  end
  block.classes:insert('theorem')
  open_with(block, {pandoc.Span(title, {class = 'theorem-title'}), pandoc.Space()})
  return block
end

-- Quarto opens a proof with its name; so does this.
local function proof(block)
  if not block.classes:includes('proof') then return nil end
  open_with(block, {pandoc.Emph('Proof'), pandoc.Str('.'), pandoc.Space()})
  return block
end

local function division(block)
  return theorem(block) or proof(block)
end

-- `$$ … $$ {#eq-x}`: in Typst what Quarto leaves behind, in HTML the formula with its number on the right.
local equation
function equation(paragraph)
  local content = paragraph.content
  for index = 1, #content do
    local label = content[index].t == 'Str' and content[index].text:match('^{#(eq%-[%w-]+)}$')
    if label then
      local place = content[index - 1].t == 'Math' and index - 1 or index - 2
      local math, shown = content[place], number(label)
      local result = pandoc.Inlines{table.unpack(content, 1, place - 1)}
      if TYPST then
        result:extend{raw('#math.equation(block: true, numbering: equation-numbering, [ '), math, raw(' ])<' .. label .. '>')}
      else
        local counter = pandoc.Span({pandoc.Str('(' .. shown .. ')')}, {class = 'number'})
        result:insert(pandoc.Span({math, counter}, {id = label, class = 'equation'}))
      end
      result:extend{table.unpack(content, index + 1)}
      return equation(pandoc.Para(result)) or pandoc.Para(result)
    end
  end
end

local function header(block)
  if block.classes:includes('unnumbered') then return nil end
  sections[block.level] = (sections[block.level] or 0) + 1
  for deeper = block.level + 1, 6 do sections[deeper] = nil end
  if kind_of(block.identifier) == 'sec' then numbers[block.identifier] = table.concat(sections, '.', 1, block.level) end
end

local function link(label, text)
  if TYPST then
    return pandoc.Span{raw('#link(<' .. label .. '>)['), pandoc.Str(text), raw(']')}
  end
  return pandoc.Link({pandoc.Str(text)}, '#' .. label, '', {class = 'cross-reference'})
end

local function reference(cite)
  if not kind_of(cite.citations[1].id) then return nil end
  local shown = pandoc.Inlines{}
  for index, citation in ipairs(cite.citations) do
    if index > 1 then shown:extend{pandoc.Str(','), pandoc.Space()} end
    local bare = citation.mode == 'SuppressAuthor'
    local prefix = bare and '' or NAMES[kind_of(citation.id)] .. '\u{a0}'
    shown:insert(link(citation.id, prefix .. numbers[citation.id]))
  end
  return shown
end

function Pandoc(doc)
  doc = doc:walk{
    traverse = 'topdown',
    Header = header, Figure = figure, Table = tabular, CodeBlock = listed, Div = division, Para = equation,
  }
  return doc:walk{
    Cite = reference,
    Div = function(block) return block.classes:includes('bare') and block.content or nil end,
  }
end

-- What both engines share, after cross-references: answer boxes, claim marks, and alternative texts for formulas and
-- pictures (PDF/UA asks for both). Attributes are lists, not tables, whose order would change from run to run.

local TYPST = FORMAT == 'typst'
local marks = {}

local function raw(text)
  return pandoc.RawInline('typst', text)
end

-- What the keyboard can reach and scroll in HTML.
local function scrolling(class, label)
  return pandoc.Attr('', {class}, {{'tabindex', '0'}, {'role', 'group'}, {'aria-label', label}})
end

local function quoted(text)
  return '"' .. text:gsub('\\', '\\\\'):gsub('"', '\\"'):gsub('%s+', ' ') .. '"'
end

local function between(block, opening)
  block.content:insert(1, pandoc.RawBlock('typst', opening))
  block.content:insert(pandoc.RawBlock('typst', ']'))
  return block.content
end

-- Tables in a `.long` division may break over pages; others may not.
local function long(block)
  return TYPST and block.classes:includes('long') and between(block, '#[#show floating: set figure(placement: none)\n#show figure: set block(breakable: true)') or nil
end

local function answer(block)
  if not block.classes:includes('answer') then return nil end
  if TYPST then return between(block, '#answer[') end
  block.content:insert(1, pandoc.Para{pandoc.Span({pandoc.Str('Answer')}, {class = 'answer-label'})})
  return block
end

-- A sentence that a claim checks ends with a mark that leads to the claim's row.
local function claim(span)
  local name = span.attributes.claim
  if not name then return nil end
  local mark = marks[name]
  if not mark then error('the claim "' .. name .. '" is not in claims.csv') end
  span.attributes = {}
  if TYPST then
    return pandoc.Span{span, raw('#claim-mark(<' .. name .. '>, [' .. mark .. '])')}
  end
  local label = 'How this was checked: ' .. name
  local attributes = pandoc.Attr('', {'claim-mark'}, {{'aria-label', label}})
  return pandoc.Span{span, pandoc.Link({pandoc.Str(mark)}, '#' .. name, label, attributes)}
end

-- The name of a claim in its table is the target of the marks.
local function claim_name(span)
  if not span.classes:includes('claim-name') then return nil end
  if TYPST then
    return pandoc.Span{raw('#claim-name['), pandoc.Str(span.identifier), raw('] <' .. span.identifier .. '>')}
  end
end

local function method(span)
  if not (TYPST and span.classes:includes('method')) then return nil end
  return pandoc.Span{raw('#method['), pandoc.Span(span.content), raw(']')}
end

local function divisions(block)
  return answer(block) or long(block)
end

local function spans(span)
  return claim(span) or claim_name(span) or method(span)
end

local function picture(image)
  local alternative = image.attributes['fig-alt'] or image.attributes.alt or pandoc.utils.stringify(image.caption)
  if TYPST then return raw('#image(' .. quoted(image.src) .. ', alt: ' .. quoted(alternative) .. ')') end
  image.attributes['fig-alt'] = nil
  image.caption = {pandoc.Str(alternative)}
  return image
end

-- Typst spaces bars and attaches exponents to them rightly only if they come as fences: |x| as \left|x\right|.
local function fenced(tex)
  tex = tex:gsub('\\|(.-)\\|', '\\lVert %1 \\rVert'):gsub('\\[lr]vert%s?', '|')
  tex = tex:gsub('(\\%a+)|', '%1\1'):gsub('|(.-)|', '\\left\1%1\\right\1')
  return (tex:gsub('\1', '|'))
end

local function typst_formula(math)
  local formula = pandoc.Math(math.mathtype, fenced(math.text))
  return (pandoc.write(pandoc.Pandoc{pandoc.Plain{formula}}, 'typst'):gsub('%s+$', ''))
end

-- A formula wider than a phone scrolls inside its own box, as a wide table does.
local function formula(math)
  local display = math.mathtype == 'DisplayMath'
  if TYPST then
    return raw('#math.equation(block: ' .. tostring(display) .. ', alt: ' .. quoted(math.text) .. ', ' .. typst_formula(math) .. ');')
  end
  return display and pandoc.Span({math}, scrolling('display', 'Formula')) or nil
end

-- A numbered formula is three inlines, an opening, the formula and a closing with its label; it becomes one.
local function numbered_formulas(inlines)
  if not TYPST then return nil end
  for index = #inlines - 2, 1, -1 do
    local opening, math, closing = inlines[index], inlines[index + 1], inlines[index + 2]
    local head = opening.t == 'RawInline' and opening.text:match('^(#math%.equation%(block: true, numbering: .-, )%[%s*$')
    if head and math.t == 'Math' then
      opening.text = head .. 'alt: ' .. quoted(math.text) .. ', ' .. typst_formula(math) .. '.body)' .. closing.text:match('<.->')
      inlines:remove(index + 2)
      inlines:remove(index + 1)
    end
  end
  return inlines
end

-- A table wider than a phone scrolls inside its own box, which the keyboard reaches.
local function wide_table(block)
  if TYPST then return nil end
  return pandoc.Div({block}, scrolling('scroll', 'Table'))
end

function Pandoc(doc)
  for name, mark in pairs(doc.meta['claim-marks'] or {}) do marks[name] = pandoc.utils.stringify(mark) end
  doc.meta['claim-marks'] = nil
  doc = doc:walk{Inlines = numbered_formulas}
  return doc:walk{Div = divisions, Span = spans, Image = picture, Math = formula, Table = wide_table}
end

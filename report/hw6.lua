-- What both engines share, after cross-references: answer boxes, claim marks, the links between a quoted number and its
-- row in the appendix, attached files, and alternative texts for formulas and pictures (PDF/UA asks for both).
-- Attributes are lists, not tables, whose order would change from run to run.

local TYPST = FORMAT == 'typst'
local CALLS = {['claim-name'] = true, method = true, digest = true, ['number-name'] = true, ['source-name'] = true}
local marks, alternatives, places = {}, {}, {}

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

-- A span that the template of the PDF has a function for: #name[…] <label>.
local function call(span)
  local name = span.classes[1]
  if not (TYPST and CALLS[name]) then return nil end
  local target = span.identifier ~= '' and '<' .. span.identifier .. '>' or ''
  return pandoc.Span{raw('#' .. name .. '['), pandoc.Span(span.content), raw(']' .. target)}
end

-- A quoted number, or a table named in a caption, leads to its row in the appendix, and can be found again from there; of
-- several numbers in one sentence (`again`), the first one.
local function quoted_link(link)
  if not (link.classes:includes('quoted') or link.classes:includes('data')) then return nil end
  local target, place = link.target:sub(2), ''
  if not link.classes:includes('again') then
    places[target] = (places[target] or 0) + 1
    place = 'use-' .. target .. '-' .. places[target]
  end
  if TYPST then
    local name = place ~= '' and '<' .. place .. '>' or ''
    return pandoc.Span{raw('#quoted(<' .. target .. '>)['), pandoc.Span(link.content), raw(']' .. name)}
  end
  link.identifier = place
  return link
end

-- The way back from a row: the pages in print, numbered links on the screen.
local function uses(span)
  local target = span.attributes.of
  local count = target and places[target]
  if not count then return target and {} or nil end
  if TYPST then return raw('#uses("' .. target .. '", ' .. count .. ')') end
  local links = pandoc.Inlines{}
  for place = 1, count do
    local name = pandoc.Attr('', {'use'}, {{'aria-label', 'Back to place ' .. place .. ' of ' .. target}})
    links:extend{pandoc.Link({pandoc.Str(tostring(place))}, '#use-' .. target .. '-' .. place, '', name), pandoc.Space()}
  end
  return pandoc.Span(links, {class = 'uses'})
end

local function source(block)
  return TYPST and block.classes:includes('source') and between(block, '#source[') or nil
end

-- Quarto's floats look as those of the embedded engine, and the box in which a numbered table scrolls has its name.
local function float(block)
  if TYPST then return nil end
  if block.classes:includes('quarto-float') then block.classes:insert('float') end
  local name = block.identifier:match('^tbl%-') and pandoc.utils.stringify(block):match('^Table\u{a0}%d+')
  return name and block:walk{Div = function(inner)
    if inner.classes:includes('scroll') then inner.attributes['aria-label'] = name:gsub('\u{a0}', ' ') end
    return inner
  end} or block
end

local function divisions(block)
  return answer(block) or long(block) or source(block) or float(block)
end

-- Quarto's titles of theorems and proofs as those of the embedded engine: no bolder, and "Theorem 1" on one line.
local function theorem_title(span)
  if span.classes:includes('proof-title') then return span.content end
  local title = span.content[1]
  if not (span.classes:includes('theorem-title') and title.t == 'Strong') then return nil end
  span.content = title.content
  span.content[2] = pandoc.Str('\u{a0}')
  return span
end

local function spans(span)
  return claim(span) or call(span) or theorem_title(span)
end

-- Formulas in an alternative text become plain words: x² for $x^2$.
local function plain(inlines)
  local text = pandoc.write(pandoc.Pandoc{pandoc.Plain(inlines)}, 'plain', {wrap_text = 'wrap-none'})
  return (text:gsub('%s+', ' '):gsub(' $', ''))
end

local function picture(image)
  local alternative = alternatives[image.src] or pandoc.utils.stringify(image.caption)
  if TYPST then return raw('#image(' .. quoted(image.src) .. ', alt: ' .. quoted(alternative) .. ')') end
  image.attributes['fig-alt'] = nil
  image.caption = {pandoc.Str(alternative)}
  return image
end

-- The tables behind the report travel inside the PDF.
local function attach(doc, files)
  for _, file in ipairs(TYPST and files or {}) do
    local path, about = pandoc.utils.stringify(file.path), pandoc.utils.stringify(file.about)
    local kind = path:match('%.csv$') and 'text/csv' or 'text/plain'
    doc.blocks:insert(pandoc.RawBlock('typst', '#pdf.attach(' .. quoted('data/' .. path) .. ', relationship: "source", mime-type: '
      .. quoted(kind) .. ', description: ' .. quoted(about) .. ')'))
  end
end

-- Typst spaces bars and attaches exponents to them rightly only if they come as fences: |x| as \left|x\right|.
local function fenced(tex)
  tex = tex:gsub('\\|(.-)\\|', '\\lVert %1 \\rVert'):gsub('\\[lr]vert%s?', '|')
  tex = tex:gsub('\\left|', '\\left\1'):gsub('\\right|', '\\right\1')
  tex = tex:gsub('|(.-)|', '\\left\1%1\\right\1')
  return (tex:gsub('\1', '|'))
end

-- Fences around what is no higher than a line do not grow, and no space stands between a name and its argument.
local function settled(formula)
  local function fence(bar)
    return function(inner)
      if inner:find('frac') or inner:find('sum') then return nil end
      return 'lr(size: #1em, ' .. bar .. inner .. bar .. ')'
    end
  end
  formula = formula:gsub('lr%(bar%.v%.double (.-) bar%.v%.double%)', fence(' bar.v.double '))
  formula = formula:gsub('lr%(|([^|]-)|%)', fence('|'))
  return (formula:gsub('"(%a+)" (\\?[%(c])', 'op("%1") %2'))
end

local function typst_formula(math)
  local formula = pandoc.Math(math.mathtype, fenced(math.text))
  return settled((pandoc.write(pandoc.Pandoc{pandoc.Plain{formula}}, 'typst'):gsub('%s+$', '')))
end

-- Thin spaces around the names of functions, as TeX sets them: 2 log z, but log(z).
local function spaced(markup)
  local thin = '<mspace width="0.167em"></mspace>'
  local name = '<mi[^>]*>%a%a+</mi><mo>&#8289;</mo>'
  markup = markup:gsub('<mrow>(' .. name .. ')</mrow>', '%1')
  markup = markup:gsub('(' .. name .. ')(<m%a+[^>]*>)([^<]*)', function(called, tag, text)
    return called .. (text == '(' and '' or thin) .. tag .. text
  end)
  return (markup:gsub('(</m%a+>)(' .. name .. ')', function(before, called)
    return before ~= '</mo>' and before ~= '</mspace>' and before .. thin .. called or nil
  end))
end

-- MathML whose bars are pairs of fences, which grow only where the author says so by \left.
local function mathml(math)
  local formula = pandoc.Math(math.mathtype, fenced(math.text))
  local markup = pandoc.write(pandoc.Pandoc{pandoc.Plain{formula}}, 'html', {html_math_method = 'mathml'})
  for _, bar in ipairs{'‖', not math.text:find('\\left|', 1, true) and '|' or nil} do
    markup = markup:gsub('<mo stretchy="true"( form="%a+">' .. bar .. '</mo>)', '<mo stretchy="false"%1')
  end
  return pandoc.RawInline('html', spaced(markup))
end

-- A formula wider than a phone scrolls inside its own box, as a wide table does.
local function formula(math)
  local display = math.mathtype == 'DisplayMath'
  if TYPST then
    return raw('#math.equation(block: ' .. tostring(display) .. ', alt: ' .. quoted(math.text) .. ', ' .. typst_formula(math) .. ');')
  end
  return display and pandoc.Span({mathml(math)}, scrolling('display', 'Formula')) or mathml(math)
end

-- Browsers break a line behind a formula, even before a comma. What clings to it stays on its line: punctuation, and over
-- spaces that do not break, the next word.
local function unbroken(inlines)
  if TYPST then return nil end
  for index = #inlines - 1, 1, -1 do
    local math, after, last = inlines[index], inlines[index + 1], index
    if math.t == 'Math' and math.mathtype == 'InlineMath' and after.t == 'Str' then
      while inlines[last + 1] and inlines[last + 1].t ~= 'Space' and inlines[last + 1].t ~= 'SoftBreak' do last = last + 1 end
      local together = pandoc.Inlines{table.unpack(inlines, index, last)}
      for _ = index, last do inlines:remove(index) end
      inlines:insert(index, pandoc.Span(together, {class = 'unbroken'}))
    end
  end
  return inlines
end

-- On the page Quarto writes the number of a formula into its TeX, where it would scroll out of sight.
local function numbered_formula(span)
  local math = span.content[1]
  local number = not TYPST and span.identifier:match('^eq%-') and math.t == 'Math' and math.text:match(' \\qquad(%(%d+%))$')
  if not number then return nil end
  math.text = math.text:sub(1, -#(' \\qquad' .. number) - 1)
  return pandoc.Span({math, pandoc.Span({pandoc.Str(number)}, {class = 'number'})}, {id = span.identifier, class = 'equation'})
end

-- In print a numbered formula is three inlines, an opening, the formula and a closing with its label; it becomes one.
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

-- A table wider than a phone scrolls inside its own box, which the keyboard reaches. In print it is one of Typst's figures,
-- which Quarto forbids.
local function wide_table(block)
  if not TYPST then return pandoc.Div({block}, scrolling('scroll', 'Table')) end
  block.classes = block.classes:filter(function(class) return class ~= 'typst:no-figure' end)
  return block
end

function Pandoc(doc)
  for name, mark in pairs(doc.meta['claim-marks'] or {}) do marks[name] = pandoc.utils.stringify(mark) end
  for source, text in pairs(doc.meta.alternatives or {}) do alternatives[source] = plain(text) end
  attach(doc, doc.meta.attachments or {})
  doc.meta['claim-marks'], doc.meta.alternatives, doc.meta.attachments = nil, nil, nil
  -- Not the metadata: there Quarto keeps every variable, and each quoted number would be counted twice.
  for _, filter in ipairs{
    {Inlines = numbered_formulas, Span = numbered_formula},
    {Inlines = unbroken},
    {traverse = 'topdown', Link = quoted_link, Image = function(image) return image, false end},
    {Span = uses},
    {Div = divisions, Span = spans, Image = picture, Math = formula, Table = wide_table},
  } do
    doc.blocks = doc.blocks:walk(filter)
  end
  return doc
end

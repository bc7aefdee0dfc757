-- Before either engine: columns of a numbered table are as wide as their content, unless its caption says otherwise in per
-- cent of the text's width. Other tables keep what their dashes say. Quarto leaves attributes in the caption's text.
function Table(block)
  local caption = pandoc.utils.stringify(block.caption.long)
  if not (block.identifier:match('^tbl%-') or caption:match('{#tbl%-')) then return nil end
  local shares = (block.attributes['tbl-colwidths'] or ''):gmatch('%d+')
  block.colspecs = block.colspecs:map(function(column)
    local share = shares()
    return {column[1], share and tonumber(share) / 100 or nil}
  end)
  return block
end

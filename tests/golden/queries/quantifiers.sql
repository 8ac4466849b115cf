SELECT * FROM prices MATCH_RECOGNIZE (
  PATTERN (A? B*? C{2} D{2,} E{,3}? F{1,4} (G H)+ I{1} J{0,1})
)

SELECT * FROM prices MATCH_RECOGNIZE (
  PARTITION BY symbol
  ORDER BY time
  MEASURES A.price AS top, LAST(B.price) AS low, LAST(C.price) AS back
  PATTERN (A B+ C+)
  DEFINE B AS price < PREV(price), C AS price > PREV(price)
)

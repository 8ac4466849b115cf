SELECT * FROM prices MATCH_RECOGNIZE (
  MEASURES PREV(FIRST(A.price, 1), 2) AS x, NEXT(price) AS y, LAST(A.price, 3) AS z, FIRST(CLASSIFIER()) AS c
  PATTERN (A+ B)
  DEFINE A AS A.price > LAST(A.price, 1), B AS B.price < AVG(A.price)
)

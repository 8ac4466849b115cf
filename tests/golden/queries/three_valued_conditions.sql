SELECT * FROM prices MATCH_RECOGNIZE (
  PATTERN (A B C)
  DEFINE
    A AS NOT price > 1 AND (price < 0 OR price IS NULL) AND symbol NOT IN ('x', 'y'),
    B AS price BETWEEN 1 AND 2.5 AND symbol LIKE 'a!_%' ESCAPE '!',
    C AS CASE WHEN price > 1 THEN symbol = 'z' END
)

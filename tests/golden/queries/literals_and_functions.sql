SELECT * FROM prices MATCH_RECOGNIZE (
  MEASURES
    DECIMAL '1.50' AS d, 1e3 AS f, DATE '2024-02-29' AS day, INTERVAL '90' MINUTE AS span,
    CAST(price AS DECIMAL(10, 2)) AS c, coalesce(round(price, 1), 0) AS r, EXTRACT(HOUR FROM time) AS h,
    COUNT(DISTINCT symbol) AS n, MAX_BY(symbol, price) AS best
  PATTERN (A)
)

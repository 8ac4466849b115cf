SELECT * FROM prices MATCH_RECOGNIZE (
  PARTITION BY Symbol, "Venue"
  MEASURES "low".Price AS "The Low"
  PATTERN ("low" High)
  DEFINE "low" AS "Price" < 1, HIGH AS high.price > "low".price
)

SELECT * FROM readings MATCH_RECOGNIZE (
  ORDER BY time
  ALL ROWS PER MATCH WITH TIMEOUT ROWS
  PATTERN (((high+? [->>] UNTIL (high.value > LAST(high.value, 1)) -> low) WITHIN INTERVAL '5' MINUTE)+ [->]
           PERMUTE(a, b) [->] -> (c d) WITHIN 5 ROWS BETWEEN NEIGHBOURS -> ABSENT(x FOR INTERVAL '24' HOUR))
  WITHIN INTERVAL '2' DAY
  DEFINE high AS value > 10, low AS value < 1
)

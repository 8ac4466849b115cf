SELECT * FROM logins MATCH_RECOGNIZE (
  PARTITION BY account
  ORDER BY time
  MEASURES FIRST(fail.time) AS began, COUNT(fail.*) AS failures
  PATTERN (ABSENT(alarm FOR INTERVAL '1' HOUR) -> fail{3,} [->] -> ABSENT(reset) -> success ->> transfer)
  WITHIN INTERVAL '10' MINUTE
  DEFINE fail AS kind = 'fail', success AS kind = 'success', transfer AS amount > AVG(transfer.amount),
         reset AS kind = 'reset', alarm AS kind = 'alarm'
)

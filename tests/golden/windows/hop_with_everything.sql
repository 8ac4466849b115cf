SELECT w.card, "Shop", window_end, COUNT(*) AS n, SUM(amount) / COUNT(DISTINCT till) AS "per till",
       FIRST(amount) AS first, LAST(amount) AS last, MAX_BY(till, amount) AS best
FROM TABLE(HOP(
    DATA => TABLE orders, TIMECOL => DESCRIPTOR("Ts"),
    SIZE => INTERVAL '1' HOUR, SLIDE => INTERVAL '5' MINUTE, OFFSET => INTERVAL -'1' MINUTE
)) AS w
WHERE amount > 0 AND status IS NOT NULL
GROUP BY card, "Shop", window_start, window_end

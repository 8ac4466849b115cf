SELECT visitor, COUNT(*) AS clicks
FROM TABLE(SESSION(TABLE clicks PARTITION BY visitor, DESCRIPTOR(ts), INTERVAL '30' MINUTES))
GROUP BY visitor, window_start, window_end

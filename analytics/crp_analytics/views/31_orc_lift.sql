-- Does splitting the task help: how much better is the chain than the direct answer (the probe)?
-- n counts jobs in which both were scored; chain and probe come from the same scorer. A chain that
-- is worse costs tokens but not quality, because the better candidate becomes the answer.
-- Example: SELECT template, model_name, n, lift, lift_low, lift_high FROM v_orc_lift WHERE n >= 20
CREATE VIEW v_orc_lift AS
SELECT template, template_sha256, model_name, count(*) AS n,
       avg(probe_quality) AS probe_quality,
       avg(chain_quality) AS chain_quality,
       avg(chain_quality - probe_quality) AS lift,
       ci95_low(avg(chain_quality - probe_quality),
                stddev_samp(chain_quality - probe_quality), count(*)) AS lift_low,
       ci95_high(avg(chain_quality - probe_quality),
                 stddev_samp(chain_quality - probe_quality), count(*)) AS lift_high,
       count(*) FILTER (chain_quality > probe_quality) AS better,
       count(*) FILTER (chain_quality = probe_quality) AS equal,
       count(*) FILTER (chain_quality < probe_quality) AS worse,
       wilson_high(count(*) FILTER (chain_quality < probe_quality), count(*)) AS worse_share_high
FROM jobs
WHERE probe_quality IS NOT NULL AND chain_quality IS NOT NULL
GROUP BY template, template_sha256, model_name;

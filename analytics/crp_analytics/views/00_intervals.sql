-- 95% intervals, for the views and for queries of your own.
-- Of a mean: Student's t with n - 1 degrees of freedom (table up to 30, then the expansion of
-- Abramowitz and Stegun 26.7.5). NULL below two values, and where all are alike: how far the mean
-- may be off is not known then.
-- Of a share k of n: Wilson's score interval, which stays inside 0..1 and is right for small n.
-- Example: SELECT avg(quality), ci95_low(avg(quality), stddev_samp(quality), count(quality)) FROM jobs
CREATE OR REPLACE MACRO t95(df) AS CASE
    WHEN df < 1 THEN NULL
    WHEN df <= 30 THEN [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                        2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                        2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042][df]
    ELSE 1.959964 + 2.372271 / df + 2.822499 / (df::DOUBLE * df)
END;
CREATE OR REPLACE MACRO ci95_low(mean, sd, n) AS
    CASE WHEN n >= 2 AND sd > 0 THEN mean - t95(n - 1) * sd / sqrt(n) END;
CREATE OR REPLACE MACRO ci95_high(mean, sd, n) AS
    CASE WHEN n >= 2 AND sd > 0 THEN mean + t95(n - 1) * sd / sqrt(n) END;
-- A bound that is NULL stays so (greatest and least leave it out).
CREATE OR REPLACE MACRO at_least(lowest, x) AS CASE WHEN x IS NOT NULL THEN greatest(lowest, x) END;
CREATE OR REPLACE MACRO at_most(highest, x) AS CASE WHEN x IS NOT NULL THEN least(highest, x) END;
CREATE OR REPLACE MACRO wilson_low(k, n) AS CASE WHEN n > 0 THEN greatest(0,
    (k / n + 1.920729 / n - 1.959964 * sqrt(k / n * (1 - k / n) / n + 0.960365 / (n * n)))
    / (1 + 3.841459 / n)) END;
CREATE OR REPLACE MACRO wilson_high(k, n) AS CASE WHEN n > 0 THEN least(1,
    (k / n + 1.920729 / n + 1.959964 * sqrt(k / n * (1 - k / n) / n + 0.960365 / (n * n)))
    / (1 + 3.841459 / n)) END;

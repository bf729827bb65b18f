-- Whoever wrote a summary, it is checked.
CREATE FUNCTION rolled(VARIADIC summaries ecommerce_ml.review_summary[]) RETURNS ecommerce_ml.review_summary
    LANGUAGE sql AS 'SELECT ecommerce_ml.rollup(s) FROM unnest(summaries) AS s';
SELECT rolled((3, 1, 1, 1, 0, NULL, NULL));
SELECT rolled((2, 1, 1, 1, 0, NULL, NULL));
SELECT rolled((-1, -1, 0, 0, NULL, NULL, NULL));
SELECT rolled((1, -1, 1, 1, 0, NULL, NULL));
SELECT rolled((1, 1, NULL, 0, 0, NULL, NULL));
SELECT rolled((NULL, NULL, NULL, NULL, 0, NULL, NULL));
SELECT rolled((1, 1, 0, 0, NULL, NULL, NULL));
SELECT rolled((0, 0, 0, 0, 0, NULL, NULL));
SELECT rolled((1, 1, 0, 0, -1.5, NULL, NULL));
SELECT rolled((1, 1, 0, 0, 'NaN', NULL, NULL));
SELECT rolled((1, 1, 0, 0, -1, 1, NULL));
SELECT rolled((1, 1, 0, 0, -1, NULL, '{1,0,0,0,0}'));
SELECT rolled((1, 1, 0, 0, -1, 6, '{1,0,0,0,0}'));
SELECT rolled((1, 1, 0, 0, -1, 1, '{1,0,0,0}'));
SELECT rolled((1, 1, 0, 0, -1, 1, '{1,0,0,0,0,0}'));
SELECT rolled((1, 1, 0, 0, -1, 1, '{1,0,0,NULL,0}'));
SELECT rolled((1, 1, 0, 0, -1, 1, '{2,0,0,0,-1}'));
SELECT rolled((1, 1, 0, 0, -1, 1, '{1,1,0,0,0}'));
SELECT rolled((9223372036854775807, 9223372036854775807, 0, 0, -1, NULL, NULL));
SELECT rolled((9223372036854775807, 9223372036854775807, 0, 0, -1, NULL, NULL), (1, 1, 0, 0, -1, NULL, NULL));
SELECT rolled((9223372036854775807, 9223372036854775807, 0, 0, -1, NULL, NULL), (1, 0, 1, 0, 0, NULL, NULL));

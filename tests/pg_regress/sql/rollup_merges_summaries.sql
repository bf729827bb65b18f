-- What is stored for days adds up to what all reviews say.
\pset null '(null)'
CREATE TABLE review AS
    SELECT date '2024-01-01' + i % 6 AS day, CASE WHEN i % 9 > 0 THEN
        (ARRAY['I love it!', 'It broke, terrible!', 'It is okay.', 'Great value.'])[1 + i * i % 4] || i % 5 END AS body
    FROM generate_series(1, 100) AS i;
CREATE TABLE daily AS SELECT day, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY day;
SELECT (stored.s).reviews, (stored.s).negative = (fresh.s).negative AS negative, (stored.s).neutral = (fresh.s).neutral AS neutral,
       (stored.s).positive = (fresh.s).positive AS positive, (stored.s).stars = (fresh.s).stars AS stars,
       abs((stored.s).mean_score - (fresh.s).mean_score) < 1e-9 AS score, abs((stored.s).mean_rating - (fresh.s).mean_rating) < 1e-9 AS rating
FROM (SELECT ecommerce_ml.rollup(s) AS s FROM daily) AS stored, (SELECT ecommerce_ml.summarize_reviews(body) AS s FROM review) AS fresh;
-- Of one, it is that one; and it doesn't matter in how many steps.
SELECT bool_and(s = one) FROM (SELECT s, ecommerce_ml.rollup(s) AS one FROM daily GROUP BY day, s) AS each;
SELECT ecommerce_ml.rollup(s) = (SELECT ecommerce_ml.rollup(s) FROM daily) AS same
FROM (SELECT ecommerce_ml.rollup(s) AS s FROM daily GROUP BY extract(day FROM day)::int % 2) AS halves;
-- Means are weighted by what they were made of; summaries without stars leave the stars alone.
SELECT (ecommerce_ml.rollup(s)).* FROM (VALUES
    ('(4,1,1,2,0.5,3.5,"{1,0,1,1,1}")'::ecommerce_ml.review_summary), ('(1,1,0,0,-1,1,"{1,0,0,0,0}")'),
    ('(5,5,0,0,-0.5,,)'), ('(0,0,0,0,,,"{0,0,0,0,0}")'), ('(0,0,0,0,,,)')) AS stored(s);
-- NULL is passed over, a row of NULLs too.
SELECT ecommerce_ml.rollup(s) FROM (VALUES
    (NULL), ('(,,,,,,)'::ecommerce_ml.review_summary), ('(1,1,0,0,-1,1,"{1,0,0,0,0}")')) AS stored(s);
SELECT ecommerce_ml.rollup(NULL);
-- Days move through a window.
SELECT day, (week.s).reviews, (week.s).reviews = expected AS same FROM
    (SELECT day, ecommerce_ml.rollup(s) OVER w AS s, sum((s).reviews) OVER w AS expected FROM daily
     WINDOW w AS (ORDER BY day ROWS 2 PRECEDING)) AS week ORDER BY day;
SELECT bool_and(moving.s = whole.s) FROM
    (SELECT day, ecommerce_ml.rollup(s) OVER (ORDER BY day ROWS 2 PRECEDING) AS s FROM daily) AS moving,
    LATERAL (SELECT ecommerce_ml.rollup(s) AS s FROM daily WHERE daily.day BETWEEN moving.day - 2 AND moving.day) AS whole;

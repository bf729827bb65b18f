-- The phrases that drive what the model says, product by product. Names may be of any kind.
CREATE SCHEMA "my shop";
CREATE TABLE "my shop"."said ""so""" ("the product" int, "the text" varchar(500));
INSERT INTO "my shop"."said ""so"""
SELECT 1 + n % 2, CASE n % 2 WHEN 0 THEN format('Terrible battery. Number %s.', n) ELSE format('I love it! Number %s.', n) END
FROM generate_series(1, 12) AS n;
INSERT INTO "my shop"."said ""so""" VALUES (1, NULL), (1, '  '), (NULL, 'Awful smell, awful!'), (NULL, 'An awful smell.');
CREATE TABLE found AS SELECT * FROM ecommerce_ml.key_phrases('"my shop"."said ""so"""', 'the text', 'the product');
SELECT key, sentiment, bool_or(phrase ~ 'terrible') AS terrible, bool_or(phrase ~ 'love') AS love, bool_or(phrase ~ 'awful') AS awful, max(reviews) AS reviews
FROM found GROUP BY key, sentiment HAVING bool_or(phrase ~ '(terrible|love|awful)') ORDER BY key, sentiment;
SELECT bool_and(sign(contribution) = CASE sentiment WHEN 'negative' THEN -1 ELSE 1 END) AS signs, bool_and(reviews >= 2) AS counts,
       bool_and(position(phrase IN lower(example)) > 0) AS examples FROM found;
-- A sample of each key is the same each time. Which texts share a pass goes by how fast passes are, and with it the last bits of
-- contributions.
SELECT count(*) FROM (
    SELECT coalesce(key, '') AS key, phrase, sentiment, reviews, contribution
    FROM ecommerce_ml.key_phrases('"my shop"."said ""so"""', 'the text', 'the product', options => '{"reviews_per_key": 3, "min_reviews": 1}')) AS one
FULL JOIN (
    SELECT coalesce(key, '') AS key, phrase, sentiment, reviews, contribution
    FROM ecommerce_ml.key_phrases('"my shop"."said ""so"""', 'the text', 'the product', 'reviews', '{"min_reviews": 1, "reviews_per_key": 3}')) AS other
    USING (key, phrase, sentiment, reviews)
WHERE (abs(one.contribution - other.contribution) < 1e-4) IS NOT TRUE;
SELECT key, max(reviews) FROM ecommerce_ml.key_phrases('"my shop"."said ""so"""', 'the text', 'the product', options => '{"reviews_per_key": 3, "phrases": 1}') GROUP BY key ORDER BY key;
-- Without a key all texts are of one; views are read as tables are.
CREATE VIEW complaints AS SELECT "the text" AS body FROM "my shop"."said ""so""" WHERE "the product" = 1;
SELECT key, sentiment, max(reviews) >= 4 AS often FROM ecommerce_ml.key_phrases('complaints', 'body') WHERE phrase ~ 'terrible' GROUP BY 1, 2;

-- An array is answered element by element, NULL for NULL.
\pset null '(null)'
SELECT ecommerce_ml.predict_sentiment(ARRAY['I love it!', NULL, 'I hate it!', '', 'I love it!']);
SELECT ecommerce_ml.token_count(ARRAY['one', 'one two', NULL, 'one two three', '']);
SELECT ecommerce_ml.token_ids(ARRAY['one', NULL, '']);
SELECT ecommerce_ml.tokenize(ARRAY['one two', NULL, '']);
SELECT ecommerce_ml.predict_sentiment('{}'::text[]), ecommerce_ml.tokenize('{}'::text[]);
SELECT cardinality(ecommerce_ml.predict_rating(array_agg('review ' || i))) FROM generate_series(1, 100) AS i;

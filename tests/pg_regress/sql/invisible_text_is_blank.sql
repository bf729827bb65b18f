-- A text that shows nothing says nothing, whatever it is made of.
\pset null '(null)'
CREATE TABLE invisible (name text, body text);
INSERT INTO invisible VALUES
    ('zero-width space', U&'\200B'), ('byte order mark', U&'\FEFF'), ('word joiner', U&'\2060\2060'),
    ('soft hyphen', U&' \00AD '), ('control', E'\x01\x7f'), ('no-break space', U&'\00A0'), ('joiner', U&'\200D\FE0F'),
    ('filler', U&'\3164'), ('empty', '');
SELECT name, ecommerce_ml.predict_sentiment(body) AS sentiment, ecommerce_ml.predict_class(body) AS class,
       ecommerce_ml.embed(body) AS embedding, ecommerce_ml.tokenize(body) AS tokens, ecommerce_ml.token_count(body) AS count
FROM invisible ORDER BY name;
SELECT ecommerce_ml.predict_sentiment(array_agg(body)) FROM invisible;
SELECT (ecommerce_ml.summarize_reviews(body)).reviews FROM invisible;
-- A sign that the model doesn't know shows something.
SET ecommerce_ml.answer_unreadable = on;
SELECT (ecommerce_ml.summarize_reviews(body)).reviews FROM (SELECT body FROM invisible UNION ALL SELECT U&'\200BGood\200B' UNION ALL SELECT '👩‍💻') AS mixture;
RESET ecommerce_ml.answer_unreadable;
CREATE TABLE marked AS SELECT body, 3 AS stars FROM invisible;
SELECT ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'stars');

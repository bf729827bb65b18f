-- A text in letters that a version has not learned has no prediction and no confidence, and a notice says so once.
\set classifier 'file://' :models '/bert-classification-3'
\set regression 'file://' :models '/bert-regression'
SELECT ecommerce_ml.import_model('shop', :'classifier'), ecommerce_ml.import_model('price', :'regression');
SELECT name, scripts FROM ecommerce_ml.models ORDER BY name COLLATE "C";
SELECT ecommerce_ml.predict_sentiment('质量很好，物流很快') AS sentiment, ecommerce_ml.predict_rating('质量很好，物流很快') AS rating,
       ecommerce_ml.predict_sentiment_score('质量很好，物流很快') AS score, ecommerce_ml.predict_class('质量很好，物流很快') AS class,
       ecommerce_ml.predict_probabilities('质量很好，物流很快') AS probabilities, ecommerce_ml.predict_confidence('质量很好，物流很快') AS confidence;
SELECT ecommerce_ml.predict_value('отличный товар', 'price') AS value;
CREATE TABLE reviews (id int, body text);
INSERT INTO reviews VALUES (1, 'Works well, I love it.'), (2, 'отличный товар'), (3, 'Très déçu'), (4, '质量很好'), (5, NULL), (6, ' '),
    (7, 'Great phone, my wife says 很好'), (8, 'iPhone 手机很好，物流也快'), (9, '5/5'), (10, 'sehr gut 🦑🦑🦑'), (11, '🦑'), (12, 'Works well, I love it.');
-- In batches and row by row, in the answers' place.
SELECT id, ecommerce_ml.predict_sentiment(body) IS NOT NULL AS answered, ecommerce_ml.predict_confidence(body) > 0 AS sure FROM reviews ORDER BY id;
SET ecommerce_ml.batch_execution = off;
SELECT id FROM reviews WHERE ecommerce_ml.predict_sentiment(body) IS NULL ORDER BY id;
RESET ecommerce_ml.batch_execution;
SELECT id FROM reviews WHERE ecommerce_ml.predict_sentiment(body) IS NULL ORDER BY id;
SELECT ecommerce_ml.predict_confidence(ARRAY['very good', 'отличный товар', NULL]) > ARRAY[0, 0, 0]::real[] AS some,
       array_position(ecommerce_ml.predict_sentiment(ARRAY['very good', 'отличный товар', 'good']), NULL) AS unread;
-- Aggregates don't count them.
SELECT (ecommerce_ml.summarize_reviews(body)).reviews FROM reviews;
SELECT (ecommerce_ml.summarize_reviews(body)).reviews FROM reviews WHERE id IN (2, 4);
SELECT count(ecommerce_ml.predict_rating(body)), count(*) FROM reviews;
CREATE VIEW labelled AS SELECT body, 1 AS stars FROM reviews;
SELECT metric, value FROM ecommerce_ml.evaluate_model('reviews', 'labelled', 'body', 'stars') WHERE metric IN ('count', 'skipped');
-- Prepared statements say so each time; the functions of tokens have nothing to say.
PREPARE verdict AS SELECT ecommerce_ml.predict_sentiment($1) IS NULL AS unread;
EXECUTE verdict('отличный товар');
EXECUTE verdict('отличный товар');
EXECUTE verdict('fine');
SELECT ecommerce_ml.token_count('отличный товар') > 0 AS tokens, array_length(ecommerce_ml.embed('отличный товар'), 1);
-- Those who want the guess get it, but nobody is sure of it.
SET ecommerce_ml.answer_unreadable = on;
SELECT ecommerce_ml.predict_sentiment('отличный товар') IS NULL AS unread, ecommerce_ml.predict_confidence('отличный товар') AS confidence;
EXECUTE verdict('отличный товар');
SELECT (ecommerce_ml.summarize_reviews(body)).reviews FROM reviews;
SET ecommerce_ml.batch_execution = off;
SELECT count(ecommerce_ml.predict_rating(body)) FROM reviews;
RESET ecommerce_ml.answer_unreadable;
SELECT count(ecommerce_ml.predict_rating(body)) FROM reviews;
-- What isn't asked for isn't answered: other errors stay.
SELECT ecommerce_ml.predict_confidence('отличный товар', 'price');

-- What a review says of each aspect, clause by clause. Positions are those of substr.
CREATE TABLE reviews (id int, product text, body text);
INSERT INTO reviews VALUES
    (1, 'dress', 'Love the color 😍, but terribly tight. Took 3 weeks to arrive!'),
    (2, 'dress', 'Great quality, fast delivery and a fair price.'),
    (3, 'dress', 'The fabric is awful, the customer service was wonderful'),
    (4, 'kettle', 'It broke after two days. Refund refused!!'),
    (5, 'kettle', 'easy to use and it looks great but way too expensive'),
    (6, 'kettle', 'My sister bought it for me.'),
    (7, 'kettle', 'See https://shop.example/price?size=3 or write to service@shop.example'),
    (8, 'kettle', '👍👍👍'),
    (9, 'kettle', NULL),
    (10, 'kettle', '  '),
    (11, 'snack', 'Price, taste and packaging are all terrible'),
    (12, 'snack', 'I was looking for a snack. Nothing but good things to say about the flavour.');
SELECT r.id, a.aspect, a.sentiment, substr(r.body, a.start, a.length) AS clause
FROM reviews AS r, LATERAL ecommerce_ml.predict_aspects(r.body) AS a ORDER BY r.id, a.start, a.aspect;
SELECT bool_and(score BETWEEN -1 AND 1) AS in_range, bool_and(sign(score) = CASE sentiment WHEN 'negative' THEN -1 ELSE 1 END) AS signs
FROM reviews AS r, LATERAL ecommerce_ml.predict_aspects(r.body) AS a WHERE sentiment <> 'neutral';
-- Aspects of the caller's own: a word, a phrase, a name with words; another name for one of shops.
SELECT aspect, sentiment, substr(body, start, length) AS clause
FROM (VALUES ('The zippers are stuck. Battery life is superb, shipping took ages, it shrank in the wash.')) AS r (body),
     ecommerce_ml.predict_aspects(body, ARRAY['Battery life', 'zipper', 'Shipping', 'washing: in the wash, laundr*']);
SELECT aspect, count(DISTINCT r.id) AS reviews FROM reviews AS r, ecommerce_ml.predict_aspects(body, '{price,colour}') GROUP BY aspect ORDER BY aspect;
-- Nothing is said of nothing.
SELECT * FROM ecommerce_ml.predict_aspects(NULL);
SELECT * FROM ecommerce_ml.predict_aspects('Great price', model => NULL, aspects => '{delivery}');
-- Lists that are none.
SELECT * FROM ecommerce_ml.predict_aspects('Great price', '{}');
SELECT * FROM ecommerce_ml.predict_aspects('Great price', ARRAY['price', NULL]);
SELECT * FROM ecommerce_ml.predict_aspects('Great price', ARRAY['price', ' ']);
SELECT * FROM ecommerce_ml.predict_aspects('Great price', ARRAY['price', 'PRICE']);
SELECT * FROM ecommerce_ml.predict_aspects('Great price', (SELECT array_agg('aspect ' || n) FROM generate_series(1, 1000) AS n));
-- The model must know sentiments.
SELECT * FROM ecommerce_ml.predict_aspects('Great price', model => 'nobody');
\set embedding 'file://' :models '/bert-embedding'
\set columns 'file://' :models '/columns-classification'
\set classifier 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('vectors', :'embedding'), ecommerce_ml.import_model('stays', :'columns'), ecommerce_ml.import_model('shop', :'classifier');
SELECT * FROM ecommerce_ml.predict_aspects('Great price', model => 'vectors');
SELECT * FROM ecommerce_ml.predict_aspects('Great price', model => 'stays');
SELECT count(*), count(sentiment) FROM ecommerce_ml.predict_aspects('Great price, and I hate the color', model => 'shop');
-- A script that the model can't read: the words are known, what is felt isn't.
SELECT a.aspect, a.sentiment, a.score, substr(r.body, a.start, a.length) AS clause
FROM (VALUES ('这件衣服质量很好，但是物流太慢了。客服态度差！')) AS r (body), ecommerce_ml.predict_aspects(body) AS a;
SET ecommerce_ml.answer_unreadable = on;
SELECT count(sentiment) FROM ecommerce_ml.predict_aspects('价格便宜、物流很快、包装差');
RESET ecommerce_ml.answer_unreadable;
-- The reviews of each product: counts of reviews, however often one speaks of an aspect.
INSERT INTO reviews VALUES (13, NULL, 'Bad price. Really, a terrible price! The price?'), (14, 'dress', 'Terrible fabric, terrible seams. And the fabric smells.');
SELECT key, aspect, reviews, negative, neutral, positive, sign(score) AS sign, worst FROM ecommerce_ml.summarize_aspects('reviews', 'body', 'product')
WHERE aspect IN ('quality', 'price', 'delivery', 'taste') ORDER BY key, aspect;
SELECT aspect, reviews, negative + neutral + positive AS judged FROM ecommerce_ml.summarize_aspects('reviews', 'body', aspects => '{price,fabric}');
SELECT count(*) FROM ecommerce_ml.summarize_aspects(NULL, 'body');
SELECT count(*) FROM ecommerce_ml.summarize_aspects('reviews', 'text');
SELECT count(*) FROM ecommerce_ml.summarize_aspects('reviews', 'id');
SELECT count(*) FROM ecommerce_ml.summarize_aspects('reviews', 'body', 'product', '{}');
SELECT count(*) FROM ecommerce_ml.summarize_aspects('reviews', 'body', model => 'vectors');
-- Like the other functions it may not be asked wherever a row is written.
CREATE FUNCTION complains(body text) RETURNS bool LANGUAGE sql AS 'SELECT min(score) < 0 FROM ecommerce_ml.predict_aspects(body)';
CREATE TABLE quiet (body text CHECK (NOT complains(body)));

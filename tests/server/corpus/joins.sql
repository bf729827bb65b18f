-- Calls in and above joins, in subqueries of all kinds.

-- target list over a join
SELECT r.id, p.name, @any(@text(r)), @any(p.description) FROM reviews AS r JOIN products AS p ON p.id = r.product_id;

-- text of both sides
SELECT r.id, @any(r.body || ' ' || p.name) FROM reviews AS r JOIN products AS p ON p.id = r.product_id WHERE r.id < 120;

-- text of both sides in where
SELECT r.id FROM reviews AS r JOIN products AS p ON p.id = r.product_id WHERE @label(p.description || ', ' || r.lang) = 'positive';

-- join on a call
SELECT r.id, l.weight FROM reviews AS r JOIN labels AS l ON l.sentiment = predict_sentiment(r.body);

-- left join on a call
SELECT r.id, l.weight FROM reviews AS r LEFT JOIN labels AS l ON l.sentiment = @label(@text(r));

-- right join on a call
SELECT r.id, l.weight FROM reviews AS r RIGHT JOIN labels AS l ON l.sentiment = @label(@text(r)) AND r.stars > 2;

-- full join on a call
SELECT r.id, l.* FROM reviews AS r FULL JOIN labels AS l ON l.sentiment = @label(@text(r));

-- left join, call in the condition
SELECT r.id, p.name FROM reviews AS r LEFT JOIN products AS p ON p.id = r.product_id AND @label(@text(r)) = 'positive';

-- left join, call of the nullable side
SELECT p.id, r.id, @any(r.body), @any(coalesce(r.body, 'none')) FROM products AS p LEFT JOIN reviews AS r ON r.product_id = p.id AND r.lang = 'en';

-- left join, filter of the nullable side
SELECT p.id, r.id FROM products AS p LEFT JOIN reviews AS r ON r.product_id = p.id AND @number(r.body) > 1 WHERE @label(r.body) IS DISTINCT FROM 'neutral';

-- join condition that is no equality
SELECT r.id, l.weight FROM reviews AS r JOIN labels AS l ON @number(r.body) > l.weight WHERE r.id < 60;

-- join of two calls
SELECT r.id, p.id FROM reviews AS r JOIN products AS p ON @label(p.description) = @label(r.body) WHERE r.id < 60;

-- self join on calls
SELECT a.id, b.id FROM reviews AS a JOIN reviews AS b ON predict_class(a.body) = predict_class(b.body) AND a.id < b.id WHERE a.id < 40 AND b.id < 60;

-- cross join
SELECT r.id, l.sentiment, @any(r.lang || l.sentiment) FROM reviews AS r CROSS JOIN labels AS l WHERE r.id < 50;

-- using and natural joins
SELECT id, @any(r.body) FROM reviews AS r JOIN reviews_judged AS j USING (id) NATURAL JOIN reviews_wide AS w WHERE j.sentiment = 'positive';

-- three tables
SELECT p.category, l.weight, count(*) FROM reviews AS r JOIN products AS p ON p.id = r.product_id JOIN labels AS l ON l.sentiment = predict_sentiment(r.body) GROUP BY 1, 2;

-- lateral call
SELECT r.id, s.answer FROM reviews AS r CROSS JOIN LATERAL (SELECT @any(@text(r)) AS answer) AS s;

-- lateral call with a filter
SELECT r.id, s.answer FROM reviews AS r JOIN LATERAL (SELECT @label(@text(r)) AS answer OFFSET 0) AS s ON s.answer = 'positive';

-- lateral function
SELECT r.id, piece FROM reviews AS r, LATERAL unnest(@array(@text(r))) AS piece WHERE r.id < 60;

-- lateral with ordinality
SELECT r.id, t.n, t.piece FROM reviews AS r, unnest(tokenize(r.body)) WITH ORDINALITY AS t (piece, n) WHERE t.n <= 3;

-- lateral top of each
SELECT p.id, s.* FROM products AS p LEFT JOIN LATERAL (SELECT r.id, @number(r.body) AS answer FROM reviews AS r WHERE r.product_id = p.id ORDER BY answer DESC NULLS LAST, r.id LIMIT 2) AS s ON true;

-- scalar subquery in the target list
SELECT p.id, (SELECT max(@number(r.body)) FROM reviews AS r WHERE r.product_id = p.id) FROM products AS p;

-- uncorrelated scalar subquery
SELECT id FROM reviews AS r WHERE @number(r.body) >= (SELECT max(@number(s.body)) FROM reviews AS s WHERE s.id < 90);

-- call of a scalar subquery
SELECT r.id, @any((SELECT p.description FROM products AS p WHERE p.id = r.product_id)) FROM reviews AS r;

-- call of an uncorrelated scalar subquery
SELECT r.id, @any((SELECT min(description) FROM products) || r.lang) FROM reviews AS r;

-- correlated call
SELECT p.id, (SELECT count(*) FROM reviews AS r WHERE r.product_id = p.id AND @label(r.body || p.name) = 'positive') FROM products AS p WHERE p.id < 5;

-- array subquery
SELECT p.id, ARRAY(SELECT @label(r.body) FROM reviews AS r WHERE r.product_id = p.id ORDER BY r.id) FROM products AS p;

-- exists
SELECT p.id FROM products AS p WHERE EXISTS (SELECT FROM reviews AS r WHERE r.product_id = p.id AND @label(@text(r)) = 'positive');

-- not exists
SELECT p.id FROM products AS p WHERE NOT EXISTS (SELECT FROM reviews AS r WHERE r.product_id = p.id AND @label(@text(r)) = 'negative');

-- exists, or something else
SELECT p.id FROM products AS p WHERE p.id < 3 OR EXISTS (SELECT FROM reviews AS r WHERE r.product_id = p.id AND @number(r.body) > 4);

-- in a subquery of calls
SELECT sentiment, weight FROM labels WHERE sentiment IN (SELECT @label(@text(r)) FROM reviews AS r);

-- not in a subquery of calls
SELECT sentiment, weight FROM labels WHERE sentiment NOT IN (SELECT predict_sentiment(body) FROM reviews WHERE predict_sentiment(body) IS NOT NULL);

-- call in a subquery
SELECT id FROM reviews AS r WHERE @label(@text(r)) IN (SELECT sentiment FROM labels WHERE weight > 0);

-- call compared with any and all
SELECT id FROM reviews AS r WHERE @number(r.body) > ALL (SELECT weight FROM labels WHERE weight < 0) AND @label(r.body) = ANY (SELECT sentiment FROM labels);

-- row comparison
SELECT id FROM reviews AS r WHERE (lang, predict_sentiment(body)) IN (SELECT 'en', sentiment FROM labels);

-- subquery in from
SELECT s.id, s.answer FROM (SELECT id, @any(@text(r)) AS answer FROM reviews AS r) AS s WHERE s.id % 3 = 0;

-- filter on a subquery's call
SELECT s.id FROM (SELECT id, @label(@text(r)) AS answer FROM reviews AS r) AS s WHERE s.answer = 'positive';

-- filter on a fenced subquery's call
SELECT s.id, @any(s.body) FROM (SELECT r.*, @label(@text(r)) AS answer FROM reviews AS r OFFSET 0) AS s WHERE s.answer = 'positive';

-- call of a fenced subquery's column
SELECT s.id, @any(s.body) FROM (SELECT id, body FROM reviews ORDER BY id LIMIT 60) AS s;

-- unused call
SELECT id FROM (SELECT id, predict_class(body, 'nosuchmodel') FROM reviews OFFSET 0) AS s;

-- call over a grouped subquery
SELECT s.body, s.n, @any(s.body) FROM (SELECT body, count(*) AS n FROM reviews GROUP BY body) AS s;

-- A cursor goes backward over batches if it was declared to; the row that it is on can be changed.
SET search_path = public, ecommerce_ml;
CREATE TABLE reviews (id int, body text);
INSERT INTO reviews SELECT i, 'review number ' || i FROM generate_series(1, 20) AS i;
SELECT token_count('loads the library');
BEGIN;
DECLARE forward CURSOR FOR SELECT id, token_count(body) FROM reviews;
FETCH 2 FROM forward;
UPDATE reviews SET body = 'changed' WHERE CURRENT OF forward RETURNING id;
FETCH 1 FROM forward;
SAVEPOINT before;
FETCH BACKWARD 1 FROM forward;
ROLLBACK TO before;
DECLARE scrolling SCROLL CURSOR FOR SELECT one.id, token_count(one.body) FROM reviews AS one JOIN reviews AS other USING (id) ORDER BY id;
FETCH 3 FROM scrolling;
FETCH BACKWARD 2 FROM scrolling;
MOVE ABSOLUTE 20 FROM scrolling;
FETCH RELATIVE 0 FROM scrolling;
COMMIT;

-- NULL, empty and blank texts have no verdict, and a model that is NULL gives none.
\pset null '(null)'
SELECT (ecommerce_ml.summarize_reviews(body)).* FROM (VALUES (NULL), (''), (E' \n\t'), (NULL)) AS review(body);
SELECT (s).reviews, (s).positive, (s).stars FROM
    (SELECT ecommerce_ml.summarize_reviews(body) AS s FROM (VALUES (NULL), ('I love it!'), (' '), (NULL)) AS review(body)) AS t;
SELECT (ecommerce_ml.summarize_reviews(body, NULL)).* FROM (VALUES ('I love it!')) AS review(body);
SELECT id, (ecommerce_ml.summarize_reviews(body) OVER (ORDER BY id ROWS 1 PRECEDING)).reviews
FROM (VALUES (1, NULL), (2, ' '), (3, 'I love it!'), (4, NULL), (5, NULL), (6, 'I love it!')) AS review(id, body);

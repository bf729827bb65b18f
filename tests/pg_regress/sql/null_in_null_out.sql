-- All functions of text are strict.
\pset null '(null)'
SELECT ecommerce_ml.predict_sentiment(NULL::text), ecommerce_ml.predict_sentiment('x', NULL),
       ecommerce_ml.predict_sentiment(NULL::text[]), ecommerce_ml.predict_sentiment(ARRAY['x'], NULL);
SELECT ecommerce_ml.tokenize(NULL::text), ecommerce_ml.token_count(NULL::text), ecommerce_ml.embed(NULL::text);

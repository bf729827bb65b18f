-- Answers to questions like earlier ones.
CREATE TABLE faq (question text, answer text);
INSERT INTO faq VALUES ('How do I return an item?', 'Within 30 days.'), ('Can I send shoes back?', 'Within 30 days.'),
    ('When will my parcel arrive?', 'In three days.'), ('Do you ship to Norway?', 'Yes.');
SELECT rank, answer, matched_question FROM ecommerce_ml.match_answers('how can I return an item', 'faq', 'question', 'answer');
SELECT rank, answer, matched_question, round(lexical_score::numeric, 3) AS lexical_score, semantic_score, round(confidence::numeric, 2) AS confidence
FROM ecommerce_ml.match_answers('parcel to Norway', 'faq', 'question', 'answer', 2, lexical_weight => 1, min_confidence => 0);
SELECT rank, answer FROM ecommerce_ml.match_answers('sing me a song', 'faq', 'question', 'answer');
SELECT * FROM ecommerce_ml.match_answers('parcel', 'faq', 'question', 'answer', min_confidence => 2);
SELECT * FROM ecommerce_ml.match_answers('parcel', 'faq', 'question', 'reply');

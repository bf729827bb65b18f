-- Short texts in which words alone mislead, and what a person reads in them. No training row of the built-in model is one of them
-- (models/reviews/make/rows.py reads this list). What it gets wrong stays here: the floor below is how many it has to get right.
CREATE TABLE texts (text text, sentiment text, kind text);
INSERT INTO texts VALUES
    ('😍😍😍', 'positive', 'sign'),
    ('😡😡😡', 'negative', 'sign'),
    ('★★★★★', 'positive', 'sign'),
    ('★★☆☆☆', 'negative', 'sign'),
    ('1 star', 'negative', 'stars'),
    ('2 stars', 'negative', 'stars'),
    ('0 stars if I could', 'negative', 'stars'),
    ('Would give 1 star', 'negative', 'stars'),
    ('returned it', 'negative', 'short'),
    ('Worked great until it caught fire', 'negative', 'contrast'),
    ('Would be great if it worked', 'negative', 'contrast'),
    -- Signs.
    ('👎', 'negative', 'sign'),
    ('👍👍', 'positive', 'sign'),
    ('Bought this for my son 💔', 'negative', 'sign'),
    ('My third pair ❤️', 'positive', 'sign'),
    ('the new packaging 🤮', 'negative', 'sign'),
    ('So this is what 80 dollars buys you 🤡', 'negative', 'sign'),
    ('Came on Tuesday 🥰🥰', 'positive', 'sign'),
    ('⭐⭐⭐⭐⭐', 'positive', 'sign'),
    ('⭐', 'negative', 'sign'),
    ('★★★☆☆', 'neutral', 'sign'),
    ('It arrived :(', 'negative', 'sign'),
    ('It arrived :)', 'positive', 'sign'),
    -- Numbers.
    ('5/5', 'positive', 'stars'),
    ('1/5', 'negative', 'stars'),
    ('3 out of 5', 'neutral', 'stars'),
    ('Two stars, and one of them is for the box.', 'negative', 'stars'),
    ('10/10 would sit on again', 'positive', 'stars'),
    -- Negation.
    ('I would not call this comfortable.', 'negative', 'negation'),
    ('Nobody could say this is badly made.', 'positive', 'negation'),
    ('There is nothing wrong with these boots.', 'positive', 'negation'),
    ('I have never once regretted this purchase.', 'positive', 'negation'),
    ('It doesn''t do a single thing well.', 'negative', 'negation'),
    ('Not the soft fabric I was promised.', 'negative', 'negation'),
    ('Couldn''t be happier.', 'positive', 'negation'),
    ('Couldn''t be more disappointed.', 'negative', 'negation'),
    -- Contrast.
    ('Pretty color, but the seam split the first time I sat down.', 'negative', 'contrast'),
    ('The box was crushed, but the vase is flawless and stunning.', 'positive', 'contrast'),
    ('I was skeptical, yet this is now my favorite pan.', 'positive', 'contrast'),
    ('Five stars for the seller, none for the toaster, which never turned on.', 'negative', 'contrast'),
    ('Loved the first one. The replacement is a disaster.', 'negative', 'contrast'),
    ('It used to be excellent. Now they use plastic and it snaps.', 'negative', 'contrast'),
    -- Sarcasm, named or plain.
    ('Sarcasm on: truly a masterpiece of engineering, it lasted nine minutes.', 'negative', 'sarcasm'),
    ('Great. A waterproof jacket that lets the rain in.', 'negative', 'sarcasm'),
    ('Wonderful product if you enjoy calling support every day.', 'negative', 'sarcasm'),
    ('Congratulations, you managed to sell me an empty box.', 'negative', 'sarcasm'),
    -- Mixed languages: the English part says it.
    ('Muy bonito, I love it so much', 'positive', 'languages'),
    ('Leider kaputt, total waste of money', 'negative', 'languages'),
    ('质量 terrible, fell apart in a week', 'negative', 'languages'),
    ('Très joli et très confortable, highly recommend', 'positive', 'languages'),
    -- As people type.
    ('Sooooo goooood', 'positive', 'letters'),
    ('it&#39;s broken &amp; useless<br />', 'negative', 'letters'),
    ('THE WORST!!!!!!', 'negative', 'letters'),
    ('gr8 product, luv it', 'positive', 'letters'),
    -- In the middle.
    ('It is okay, nothing more and nothing less.', 'neutral', 'middle'),
    ('Average. I would not buy it again, but I will not return it either.', 'neutral', 'middle');

-- What is read otherwise.
SELECT text, sentiment, ecommerce_ml.predict_sentiment(text) AS read_as FROM texts
WHERE ecommerce_ml.predict_sentiment(text) <> sentiment ORDER BY kind, text;
SELECT count(*) FILTER (WHERE ecommerce_ml.predict_sentiment(text) = sentiment) AS right, count(*) AS texts,
       count(*) FILTER (WHERE ecommerce_ml.predict_sentiment(text) = sentiment) >= 45 AS is_enough
FROM texts;

"""Answer the same question in other words, but not questions that only look the same."""

from askonce import Cache

ASKED = [
    "How do I change my PIN?",
    "how do i change my pin",
    "How can I change my PIN?",
    "How don't I change my PIN?",
    "How do I change my address?",
]

# "serve" needs no key and no download: pip install 'askonce[semantic]'.
with Cache(semantic="serve") as cache:
    cache.put("How do I change my PIN?", "At any cash machine.", scope="bank")
    for question in ASKED:
        answer = cache.get(question, scope="bank")
        if answer is None:
            print(f"{question:30} no answer")
        else:
            print(f"{question:30} {answer.text} ({answer.reason}, {answer.similarity:.2f})")

    # Questions of two scopes are never compared.
    print(cache.get("How can I change my PIN?", scope="another bank"))
    # With semantic="off", only exactly this question counts.
    print(cache.get("How can I change my PIN?", scope="bank", semantic="off"))
    why_not = {word: n for word, n in cache.stats().semantic.items() if word != "far"}
    print("the guards' vetoes:", why_not)

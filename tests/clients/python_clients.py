"""One official Python client against a running gateway; prints its answers as JSON."""

import json
import sys

QUESTION = "Write one sentence about the sea."
TOKENS_MAX = 24


def openai_answers(url: str, model: str) -> tuple[str, str]:
    import openai

    client = openai.OpenAI(base_url=url, api_key="none")
    request = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": TOKENS_MAX,
    }
    whole = client.chat.completions.create(**request)
    assert whole.usage is not None and whole.usage.completion_tokens > 0
    with client.chat.completions.create(**request, stream=True) as stream:
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert any(listed.id == model for listed in client.models.list())
    try:
        client.chat.completions.create(**{**request, "temperature": 9})
    except openai.BadRequestError as error:
        assert error.param == "temperature", error
    else:
        raise AssertionError("temperature 9 was not refused")
    return whole.choices[0].message.content or "", "".join(pieces)


def openai_responses(url: str, model: str) -> tuple[str, str]:
    import openai

    client = openai.OpenAI(base_url=url, api_key="none")
    request = {
        "model": model,
        "input": QUESTION,
        "temperature": 0,
        "max_output_tokens": TOKENS_MAX,
    }
    whole = client.responses.create(**request)
    assert whole.usage is not None and whole.usage.output_tokens > 0
    deltas = []
    with client.responses.stream(**request) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                deltas.append(event.delta)
            # The client's own get_final_response() knows no answer that was cut short.
            elif event.type in ("response.completed", "response.incomplete"):
                assert event.response.output_text == "".join(deltas)
    return whole.output_text, "".join(deltas)


def langchain_answers(url: str, model: str) -> tuple[str, str]:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model=model, base_url=url, api_key="none", temperature=0, max_tokens=TOKENS_MAX
    )
    whole = chat.invoke(QUESTION)
    return str(whole.content), "".join(str(chunk.content) for chunk in chat.stream(QUESTION))


if __name__ == "__main__":
    client, url, model = sys.argv[1:]
    answers = {
        "openai": openai_answers,
        "openai-responses": openai_responses,
        "langchain": langchain_answers,
    }[client]
    print(json.dumps(answers(url, model)))

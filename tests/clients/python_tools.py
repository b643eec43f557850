"""Formats and tools through the helpers of one official Python client; prints as JSON what it got
whole and streamed."""

import json
import sys
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

QUESTION = "What is the weather in Paris, in Celsius?"
TOKENS_MAX = 200
SUNNY = "Sunny, 21 degrees."


class Place(BaseModel):
    """Weather of a city."""

    city: Literal["Paris", "Rome", "Oslo"]
    unit: Literal["celsius", "fahrenheit"]
    days: int = Field(ge=1, le=14)
    start: date


def openai_format(url: str, model: str) -> tuple[Any, Any]:
    """parse() and stream() read the answer by its schema, or raise."""
    import openai

    client = openai.OpenAI(base_url=url, api_key="none")
    request = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": TOKENS_MAX,
        "response_format": Place,
    }
    whole = client.chat.completions.parse(**request).choices[0].message.parsed
    with client.chat.completions.stream(**request) as stream:
        for event in stream:
            assert event.type != "error", event
        streamed = stream.get_final_completion().choices[0].message.parsed
    assert whole is not None and streamed is not None
    response = client.responses.parse(
        model=model,
        input=QUESTION,
        temperature=0,
        max_output_tokens=TOKENS_MAX,
        text_format=Place,
    )
    assert response.output_parsed == whole
    return whole.model_dump(mode="json"), streamed.model_dump(mode="json")


def openai_tools(url: str, model: str) -> tuple[Any, Any]:
    import openai

    client = openai.OpenAI(base_url=url, api_key="none")
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    common = {"model": model, "temperature": 0, "max_tokens": TOKENS_MAX}
    request = {
        **common,
        "messages": messages,
        "tools": [openai.pydantic_function_tool(Place, name="weather")],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }
    whole = client.chat.completions.parse(**request).choices[0]
    assert whole.finish_reason == "tool_calls"
    done = []
    with client.chat.completions.stream(**request) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.done":
                done.append(event.parsed_arguments)
        streamed = stream.get_final_completion().choices[0]

    def calls_of(choice: Any) -> list[Any]:
        return [call.function.parsed_arguments for call in choice.message.tool_calls]

    assert done == calls_of(streamed), done
    result = {
        "role": "tool",
        "tool_call_id": whole.message.tool_calls[0].id,
        "content": SUNNY,
    }
    answer = client.chat.completions.create(**common, messages=[*messages, whole.message, result])
    assert answer.choices[0].message.content
    return [c.model_dump(mode="json") for c in calls_of(whole)], [c.model_dump(mode="json") for c in calls_of(streamed)]


def langchain_tools(url: str, model: str) -> tuple[Any, Any]:
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model=model, base_url=url, api_key="none", temperature=0, max_tokens=TOKENS_MAX
    )
    place = chat.with_structured_output(Place, method="json_schema").invoke(QUESTION)
    assert isinstance(place, Place), place

    @tool(args_schema=Place)
    def weather(city: str, unit: str, days: int, start: date) -> str:
        """Weather of a city."""
        return SUNNY

    bound = chat.bind_tools([weather], tool_choice="weather")
    whole = bound.invoke(QUESTION)
    streamed = None
    for chunk in bound.stream(QUESTION):
        streamed = chunk if streamed is None else streamed + chunk
    call = whole.tool_calls[0]
    result = ToolMessage(content=SUNNY, tool_call_id=call["id"])
    chat.invoke([HumanMessage(QUESTION), whole, result])
    return [c["args"] for c in whole.tool_calls], [c["args"] for c in streamed.tool_calls]


if __name__ == "__main__":
    client, url, model = sys.argv[1:]
    answers = {
        "openai-format": openai_format,
        "openai-tools": openai_tools,
        "langchain-tools": langchain_tools,
    }[client]
    print(json.dumps(answers(url, model)))

# docker build -t lmrl . && docker run -e LMRL_TOKEN=some-secret -p 8421:8421 lmrl
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir build && LMRL_PURE=1 python -m build --wheel

FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends stockfish && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home player
COPY --from=build /src/dist/*.whl /wheel/
RUN pip install --no-cache-dir "$(ls /wheel/*.whl)[web,textworld]" && rm -r /wheel
ENV PATH="/usr/games:$PATH"
USER player
WORKDIR /home/player
EXPOSE 8421
ENTRYPOINT ["lmrl"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8421"]

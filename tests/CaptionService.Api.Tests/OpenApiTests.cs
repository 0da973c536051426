using System.Text.Json.Nodes;
using CaptionService.Api.Compatible;

namespace CaptionService.Api.Tests;

public sealed class OpenApiTests(Service service)
{
    private async Task<JsonNode> Document() => (await Answer.Get(service.Client, "/swagger/v1/swagger.json")).Body;

    [Fact]
    public async Task The_document_has_every_address_and_every_status()
    {
        JsonNode paths = (await Document())["paths"]!;

        string[] operations = [.. paths.AsObject().SelectMany(path => path.Value!.AsObject().Select(operation =>
            $"{operation.Key} {path.Key}: {string.Join(' ', operation.Value!["responses"]!.AsObject().Select(response => response.Key).Order(StringComparer.Ordinal))}"))];
        Assert.Equal(((string[])
        [
            "post /captions: 200 400 401 403 404 408 413 415 422 429 500 503 504",
            "post /datasets: 201 400 401 403 408 413 415 422 429 503 507",
            "get /datasets: 200 400 401 403 429 503",
            "get /datasets/{id}: 200 401 403 404 429 503",
            "delete /datasets/{id}: 204 401 403 404 409 429 503",
            "get /datasets/{id}/items: 200 400 401 403 404 429 503",
            "get /datasets/{id}/photos/{name}: 200 401 403 404 429 503",
            "post /feedback: 201 400 401 403 408 409 413 415 422 429 503 507",
            "get /feedback: 200 400 401 403 429 503",
            "get /feedback/{id}: 200 401 403 404 429 503",
            "patch /feedback/{id}: 200 400 401 403 404 413 415 429 503",
            "delete /feedback/{id}: 204 401 403 404 429 503",
            "get /health/live: 200 503",
            "get /health/ready: 200 503",
            "get /audit: 200 400 401 403 429 503",
            "get /keys: 200 400 401 403 429 503",
            "post /keys: 201 400 401 403 413 415 429 503",
            "delete /keys/{id}: 204 401 403 404 429 503",
            "get /models: 200 401 403 429",
            "post /models: 201 400 401 403 408 413 415 422 429 503 507",
            "get /models/{name}: 200 401 403 404 429",
            "post /models/{name}/versions/{version}/activate: 200 401 403 404 422 429 503",
            "post /models/{name}/rollback: 200 401 403 404 409 422 429 503",
            "get /models/{name}/versions/{version}/download: 200 401 403 404 429",
            "delete /models/{name}/versions/{version}: 204 401 403 404 409 429 503",
            "post /evaluations: 202 400 401 403 404 409 413 415 429 503",
            "get /evaluations: 200 400 401 403 429 503",
            "post /evaluations/compare: 202 400 401 403 404 409 413 415 429 503",
            "get /evaluations/{id}: 200 401 403 404 429 503",
            "get /problems/{code}: 200 404",
            "post /caption-jobs: 202 400 401 403 404 408 413 415 422 429 503 507",
            "get /caption-jobs: 200 400 401 403 429 503",
            "get /caption-jobs/{id}: 200 401 403 404 429 503",
            "delete /caption-jobs/{id}: 204 401 403 404 409 429 503",
            "get /caption-jobs/{id}/results: 200 400 401 403 404 429 503",
            "get /caption-jobs/{id}/events: 200 204 400 401 403 404 429 503",
            "post /caption-jobs/{id}/compare: 202 400 401 403 404 413 415 429 503 507",
            "get /caption-jobs/{id}/changes: 200 400 401 403 404 409 429 503",
            "post /caption-jobs/{id}/cancel: 202 401 403 404 409 429 503",
            "post /caption-jobs/{id}/resume: 202 401 403 404 409 429 503",
            "get /training-presets: 200 401 403 429",
            "post /training-jobs: 202 400 401 403 404 409 413 415 422 429 503 507",
            "get /training-jobs: 200 400 401 403 404 429 503",
            "get /training-jobs/{id}: 200 401 403 404 429 503",
            "get /training-jobs/{id}/events: 200 204 400 401 403 404 429 503",
            "get /training-jobs/{id}/metrics: 200 401 403 404 429 503",
            "get /training-jobs/{id}/log: 200 400 401 403 404 429 503",
            "get /training-jobs/{id}/checkpoints: 200 401 403 404 429 503",
            "post /training-jobs/{id}/cancel: 202 401 403 404 409 429 503",
            "post /training-jobs/{id}/resume: 202 401 403 404 409 429 503",
            .. ((string[])
            [
                "get /v1/models", "get /v1/models/{id}", "post /v1/chat/completions", "post /v1/responses",
                "post /api/generate", "post /api/chat", "get /api/tags", "get /api/ps", "post /api/show", "get /api/version",
                "post /api/v1/vision/caption", "post /api/v1/vision/labels", "post /api/v1/vision/nsfw",
                "post /computervision/imageanalysis:analyze", "post /models/{name}", "get /model/predict", "post /model/predict", "get /img-alt", "post /img-alt",
            ]).Select(other => $"{other}: 200 400 401 403 404 408 413 415 422 429 500 501 503 504"),
        ]).Order(StringComparer.Ordinal), operations.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Every_status_has_a_schema_and_every_failure_is_a_problem()
    {
        foreach ((_, JsonNode? path) in (await Document())["paths"]!.AsObject())
        {
            foreach ((_, JsonNode? operation) in path!.AsObject())
            {
                foreach ((string status, JsonNode? response) in operation!["responses"]!.AsObject())
                {
                    if (status == "204")
                    {
                        continue;
                    }
                    JsonObject content = response!["content"]!.AsObject();
                    Assert.All(content, way => Assert.NotNull(way.Value!["schema"]));
                    Assert.NotEmpty((string)response["description"]!);
                    bool compatible = ((string)operation["tags"]![0]!).StartsWith(CompatibleApi.Tag, StringComparison.Ordinal);
                    Assert.Equal(status[0] != '2' ? [compatible ? "application/json" : "application/problem+json"] : (string?)operation["operationId"] switch
                    {
                        "GetDatasetPhoto" => ["image/jpeg", "image/png", "image/webp", "image/gif", "application/octet-stream"],
                        "DownloadModel" => ["application/zip"],
                        "GetTrainingJobEvents" => ["application/json", "text/event-stream"],
                        "GetTrainingJobLog" => ["text/plain"],
                        "GetCaptionJobResults" => ["application/json", "application/x-ndjson", "text/csv"],
                        "GetCaptionJobEvents" => ["text/event-stream"],
                        "OpenAiChat" => ["application/json", "text/event-stream"],
                        "OllamaGenerate" or "OllamaChat" => ["application/json", "application/x-ndjson"],
                        _ => (string[])["application/json"],
                    }, content.Select(way => way.Key));
                    Assert.Equal(status is "429" or "503", response["headers"]?["Retry-After"] is not null);
                }
            }
        }
    }

    [Fact]
    public async Task Every_option_is_described_with_its_range_and_default()
    {
        JsonArray parameters = (await Document())["paths"]!["/captions"]!["post"]!["parameters"]!.AsArray();

        Assert.Equal(["count", "beamWidth", "maxLength", "minLength", "lengthNormalization", "diversity", "language", "model", "style", "include", "purpose", "genderNeutral", "maxCharacters", "url", "Accept-Language"], parameters.Select(parameter => (string?)parameter!["name"]));
        Assert.All(parameters, parameter => Assert.Contains("Default: ", (string)parameter!["description"]!, StringComparison.Ordinal));
        Assert.All(parameters.Take(6), parameter => Assert.NotNull(parameter!["schema"]!["maximum"]));
    }

    [Fact]
    public async Task Every_way_in_is_described_and_the_form_picks_files()
    {
        JsonNode content = (await Document())["paths"]!["/captions"]!["post"]!["requestBody"]!["content"]!;

        Assert.Equal(["multipart/form-data", "application/JSON", "image/jpeg", "image/png", "image/webp", "image/gif", "application/octet-stream"],
            content.AsObject().Select(way => way.Key));
        JsonNode photo = content["multipart/form-data"]!["schema"]!["properties"]!["photo"]!;
        Assert.Equal("array", (string?)photo["type"]);
        Assert.Equal("binary", (string?)photo["items"]!["format"]);
        Assert.Equal("binary", (string?)content["image/jpeg"]!["schema"]!["format"]);
    }

    [Fact]
    public async Task The_JSON_example_works_as_it_stands()
    {
        JsonNode example = (await Document())["paths"]!["/captions"]!["post"]!["requestBody"]!["content"]!["application/JSON"]!["example"]!;

        Assert.NotEmpty((await service.CaptionJson(example.ToJsonString())).Best());
    }

    [Fact]
    public async Task The_page_of_Swagger_is_there()
    {
        string page = await service.Client.GetStringAsync("/swagger/index.html", Service.Cancellation);
        Assert.Contains("swagger-ui-bundle.js", page, StringComparison.Ordinal);
        string script = await service.Client.GetStringAsync("/swagger/swagger-ui-bundle.js", Service.Cancellation);
        Assert.NotEmpty(script);
    }
}

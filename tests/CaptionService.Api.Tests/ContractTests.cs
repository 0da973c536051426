using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using CaptionService.Api.Tests.Datasets;

namespace CaptionService.Api.Tests;

/// <summary>Whatever is sent, the answer is one that the OpenAPI document names, and every refusal is a problem.</summary>
public sealed class ContractTests(ShippedSmall shipped, ITestOutputHelper output)
{
    // CONTRACT_REQUESTS=10000 asks for more; CONTRACT_SEED for others.
    private static readonly int s_requests = Number("CONTRACT_REQUESTS", 1000), s_seed = Number("CONTRACT_SEED", 20_261_128);

    [Fact]
    public async Task Requests_made_from_the_document_are_answered_as_it_says()
    {
        await using var factory = new ServiceFactory(host =>
        {
            host.UseSetting("Datasets:Estimate", "false").UseSetting("Feedback:Enabled", "true");
            host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("Auth:FirstKey", ServiceFactory.FirstKey);     // so that keys can be made
        });
        using HttpClient client = await factory.Start(ready: true, ServiceFactory.FirstKey);
        JsonNode document = (await Answer.Get(client, "/swagger/v1/swagger.json")).Body;
        using var form = Service.Form([]);
        form.Add(new ByteArrayContent(Made.Zip(Made.Files)), "archive", "set.zip");
        string dataset = (string)(await Answer.To(client, "/datasets", form)).Body["id"]!;
        string model = (string)(await Answer.Get(client, "/models")).Body["models"]![0]!["name"]!;
        var requests = new GeneratedRequests(document, new Random(s_seed), File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", "224", "cat.png")), new()
        {
            ["dataset"] = [dataset], ["id"] = [dataset], ["model"] = [model, model + "@1"], ["name"] = [model], ["version"] = ["1"], ["language"] = ["en", "de"], ["preset"] = ["quick", "best", "tutorial"],
        });

        var wrong = new List<string>();
        var statuses = new SortedDictionary<string, int>(StringComparer.Ordinal);
        for (int i = 0; i < s_requests; i++)
        {
            GeneratedRequest request = requests.Next();
            using HttpRequestMessage message = request.Message;
            using HttpResponseMessage response = await client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, Service.Cancellation);
            int status = (int)response.StatusCode;
            statuses[$"{request.Operation} {status}"] = statuses.GetValueOrDefault($"{request.Operation} {status}") + 1;
            if (await Wrong(request, response) is { } what)
            {
                wrong.Add($"{status} {what}: {request.Text}");
            }
            if (status == 202 && request.Operation == "post /training-jobs")    // asked for, and enough
            {
                JsonNode job = JsonNode.Parse(await response.Content.ReadAsStringAsync(Service.Cancellation))!;
                using HttpResponseMessage cancelled = await client.PostAsync($"/training-jobs/{job["id"]}/cancel", null, Service.Cancellation);
            }
        }

        output.WriteLine(string.Join('\n', statuses.Select(s => $"{s.Key}: {s.Value}")));
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {s_requests} (seed {s_seed}):\n{string.Join('\n', wrong.Take(40))}");
        Assert.Equal(document["paths"]!.AsObject().Sum(path => path.Value!.AsObject().Count), statuses.Keys.Select(key => key[..key.LastIndexOf(' ')]).Distinct().Count());
        Assert.Contains("post /captions 200", statuses.Keys);       // not only refusals
    }

    private static async Task<string?> Wrong(GeneratedRequest request, HttpResponseMessage response)
    {
        int status = (int)response.StatusCode;
        MediaTypeHeaderValue? type = response.Content.Headers.ContentType;
        if (status == 500)
        {
            return "is a failure of the service";
        }
        if (request.Responses[$"{status}"] is not { } documented)
        {
            return $"is not documented ({await response.Content.ReadAsStringAsync(Service.Cancellation)})";
        }
        if (documented["content"] is JsonObject content && type is not null && !content.ContainsKey(type.MediaType!))
        {
            return $"came as {type.MediaType}";
        }
        if (status < 400)
        {
            return null;
        }
        string body = await response.Content.ReadAsStringAsync(Service.Cancellation);
        if (request.Compatible)     // its own protocol's shape, with the code in it
        {
            return ProblemTable.All.Any(row => row.Status == status && body.Contains(row.Code, StringComparison.Ordinal)) ? null : $"has no code: {body}";
        }
        if (type?.MediaType != "application/problem+json")
        {
            return "is no problem";
        }
        JsonNode problem = JsonNode.Parse(body)!;
        return ProblemTable.All.Any(row => row.Code == (string?)problem["code"] && row.Status == status) ? null : $"has no such code as {problem["code"]}";
    }

    private static int Number(string variable, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(variable), out int value) ? value : otherwise;
}

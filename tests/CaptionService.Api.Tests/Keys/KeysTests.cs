using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CaptionService.Api.Keys;
using CaptionService.Tests;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace CaptionService.Api.Tests.Keys;

/// <summary>A service without models that asks for keys, over a clock that stands still.</summary>
public sealed class LockedService : IAsyncLifetime
{
    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2027, 1, 1, 0, 0, 0, TimeSpan.Zero));

    public ServiceFactory Factory { get; }

    /// <summary>Shows the first key.</summary>
    public HttpClient Admin { get; private set; } = null!;

    public LockedService() => Factory = new ServiceFactory(host =>
    {
        ServiceFactory.WithoutModels(host);
        host.UseSetting("Auth:FirstKey", ServiceFactory.FirstKey).UseSetting("Feedback:Enabled", "true");
        host.ConfigureTestServices(services => services.AddSingleton<TimeProvider>(Time));
    });

    public async ValueTask InitializeAsync() => Admin = await Factory.Start(ready: false, ServiceFactory.FirstKey);

    public async ValueTask DisposeAsync() => await Factory.DisposeAsync();

    /// <summary>Makes a key and returns it with its id.</summary>
    public async Task<(string Key, string Id)> Make(string scope, int? days = null)
    {
        Answer made = await Answer.To(Admin, "/keys", new StringContent($$"""{"name": "test", "scope": "{{scope}}", "days": {{days?.ToString() ?? "null"}}}""", Encoding.UTF8, "application/json"));
        Assert.True(made.Status == 201, made.Body.ToJsonString());
        return ((string)made.Body["key"]!, (string)made.Body["made"]!["id"]!);
    }

    /// <summary>Sends a request with a key.</summary>
    public async Task<Answer> Send(string method, string path, string? key, string header = "X-Api-Key", HttpContent? body = null)
    {
        using var client = new HttpClient { BaseAddress = Admin.BaseAddress };
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = body };
        if (key is not null)
        {
            request.Headers.TryAddWithoutValidation(header, key);
        }
        using HttpResponseMessage response = await client.SendAsync(request, Service.Cancellation);
        string text = await response.Content.ReadAsStringAsync(Service.Cancellation);
        return new Answer((int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, response.Headers, text.StartsWith('{') ? JsonNode.Parse(text)! : new JsonObject());
    }
}

/// <summary>Who gets in, where keys are needed.</summary>
public sealed class KeysTests(LockedService service) : IClassFixture<LockedService>
{
    [Fact]
    public async Task Without_a_good_key_nobody_gets_in()
    {
        Answer none = (await service.Send("GET", "/models", null)).IsProblem(401, "no_key");
        Assert.Equal("Bearer realm=\"CaptionService\"", none.Headers.WwwAuthenticate.ToString());
        (string key, _) = await service.Make("caption");
        foreach (string wrong in (string[])["nonsense", key[..^1] + (key[^1] == 'a' ? 'b' : 'a'), key.ToUpperInvariant(), ServiceFactory.FirstKey + "x", new string('x', 8000), "cs_"])
        {
            Answer bad = (await service.Send("GET", "/models", wrong)).IsProblem(401, "bad_key");
            Assert.Contains("error=\"invalid_token\"", bad.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
            Assert.DoesNotContain(wrong, bad.Body.ToJsonString(), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("Authorization", "Bearer ")]
    [InlineData("Authorization", "bearer ")]
    [InlineData("X-Api-Key", "")]
    [InlineData("api-key", "")]
    [InlineData("Ocp-Apim-Subscription-Key", "")]
    public async Task A_key_is_read_wherever_clients_put_it(string header, string before)
    {
        (string key, _) = await service.Make("caption");
        Assert.Equal(200, (await service.Send("GET", "/models", before + key, header)).Status);
        Assert.Equal(200, (await service.Send("GET", "/models", before + ServiceFactory.FirstKey, header)).Status);
    }

    [Theory]
    [InlineData("GET", "/health/live", 200)]
    [InlineData("GET", "/health/ready", 503)]       // it has no models
    [InlineData("GET", "/problems/no_key", 200)]
    [InlineData("GET", "/swagger/index.html", 200)]
    [InlineData("GET", "/swagger/v1/swagger.json", 200)]
    [InlineData("GET", "/nothing", 404)]
    [InlineData("PUT", "/models", 405)]
    [InlineData("OPTIONS", "/captions", 204)]
    [InlineData("HEAD", "/models", 401)]
    public async Task What_tells_nothing_is_open(string method, string path, int status) => Assert.Equal(status, (await service.Send(method, path, null)).Status);

    [Fact]
    public async Task Only_admins_see_the_checks_behind_the_health()
    {
        JsonNode live = (await service.Send("GET", "/health/live", ServiceFactory.FirstKey)).Body;
        Assert.Equal("worker", (string?)Assert.Single(live["checks"]!.AsArray())!["name"]);
        Answer loading = (await service.Send("GET", "/health/ready", ServiceFactory.FirstKey)).IsProblem(503, "model_loading");
        JsonNode models = loading.Body["checks"]!.AsArray().Single(check => (string?)check!["name"] == "models")!;
        Assert.Equal("unhealthy", (string?)models["status"]);
        foreach (string? key in (string?[])[null, (await service.Make("caption")).Key, (await service.Make("train")).Key])
        {
            Assert.Equal("""{"status":"live"}""", (await service.Send("GET", "/health/live", key)).Body.ToJsonString());
            Assert.False((await service.Send("GET", "/health/ready", key)).Body.AsObject().ContainsKey("checks"));
        }
    }

    [Fact]
    public async Task Each_route_asks_for_the_scope_that_the_document_says()
    {
        (Scope? Scope, string Text)[] routes = [.. service.Factory.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .Where(route => route.Metadata.GetMetadata<HttpMethodMetadata>() is not null)        // /metrics has none: it is for admins, as whatever does not say
            .SelectMany(route => route.Metadata.GetRequiredMetadata<HttpMethodMetadata>().HttpMethods.Select(method => (
                route.Metadata.GetMetadata<IAllowAnonymous>() is null ? route.Metadata.GetRequiredMetadata<NeededScope>().Scope : (Scope?)null,
                $"{method} {Regex.Replace(route.RoutePattern.RawText!.TrimEnd('/'), "(?<={[^}]*):[^}]+", "")}")))];

        foreach (Scope scope in Enum.GetValues<Scope>())
        {
            string row = Repository.Read("docs/api.md").Split('\n').Single(line => line.StartsWith($"| `{scope.ToString().ToLowerInvariant()}` | `", StringComparison.Ordinal));
            Assert.Equal(routes.Where(route => route.Scope == scope).Select(route => route.Text).Order(StringComparer.Ordinal),
                Regex.Matches(row, "`((?:GET|POST|PATCH|DELETE) [^`]+)`").Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal));
        }
        string[] keys = [(await service.Make("caption")).Key, (await service.Make("train")).Key, (await service.Make("admin")).Key];
        foreach ((Scope? needed, string text) in routes.Where(route => route.Scope is not null))
        {
            string[] parts = text.Split(' ');
            string path = parts[1].Replace("{version}", "1", StringComparison.Ordinal).Replace("{id}", "none", StringComparison.Ordinal).Replace("{name}", "none", StringComparison.Ordinal);
            Assert.Equal(401, (await service.Send(parts[0], path, null)).Status);
            foreach (Scope held in Enum.GetValues<Scope>())
            {
                Answer answer = await service.Send(parts[0], path, keys[(int)held]);
                if (held < needed)
                {
                    answer.IsProblem(403, "scope_missing");
                    Assert.Contains($"'{needed.ToString()!.ToLowerInvariant()}'", (string?)answer.Body["detail"], StringComparison.Ordinal);
                }
                else
                {
                    Assert.False(answer.Status is 401 or 403, $"{text} with {held}: {answer.Body.ToJsonString()}");
                }
            }
        }
    }

    [Fact]
    public async Task A_job_that_may_activate_needs_who_may()
    {
        (string train, _) = await service.Make("train");
        Answer refused = await service.Send("POST", "/training-jobs", train, body: new StringContent("""{"dataset": "abcdefghijkl", "preset": "quick", "activateIfBetter": true}"""));
        refused.IsProblem(403, "scope_missing");
    }

    [Fact]
    public async Task A_key_ends_when_it_is_revoked_and_when_its_days_are_over()
    {
        (string revoked, string id) = await service.Make("train");
        (string week, _) = await service.Make("caption", days: 7);
        Assert.Equal(200, (await service.Send("GET", "/models", revoked)).Status);
        Assert.Equal(204, (await service.Send("DELETE", $"/keys/{id}", ServiceFactory.FirstKey)).Status);
        (await service.Send("GET", "/models", revoked)).IsProblem(401, "bad_key");
        (await service.Send("DELETE", $"/keys/{id}", ServiceFactory.FirstKey)).IsProblem(404, "key_not_found");

        Assert.Equal(200, (await service.Send("GET", "/models", week)).Status);
        service.Time.AdjustTime(service.Time.GetUtcNow() + TimeSpan.FromDays(7));      // not Advance, which rings every timer of seven days
        (await service.Send("GET", "/models", week)).IsProblem(401, "bad_key");
    }

    [Fact]
    public async Task The_list_shows_what_keys_are_but_not_what_opens_and_nothing_else_holds_it()
    {
        (string key, string id) = await service.Make("caption");
        Assert.Equal(200, (await service.Send("GET", "/models", key)).Status);
        JsonNode row;
        do
        {
            service.Time.Advance(TimeSpan.FromSeconds(5));      // when uses are written down
            await Task.Delay(20, Service.Cancellation);
            row = (await Answer.Get(service.Admin, "/keys?limit=200")).Body["keys"]!.AsArray().Single(one => (string)one!["id"]! == id)!;
        }
        while (row["lastUsedAt"] is null);
        Assert.Equal(("test", "caption", $"cs_{id}"), ((string?)row["name"], (string?)row["scope"], (string?)row["prefix"]));
        Assert.StartsWith((string)row["prefix"]!, key, StringComparison.Ordinal);

        string secret = key[^40..];
        Assert.DoesNotContain(secret, (await Answer.Get(service.Admin, "/keys?limit=200")).Body.ToJsonString(), StringComparison.Ordinal);
        foreach (string file in Directory.GetFiles(service.Factory.Storage, "captionservice.db*"))
        {
            using var shared = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(shared, Encoding.Latin1);
            string text = await reader.ReadToEndAsync(Service.Cancellation);
            Assert.DoesNotContain(secret, text, StringComparison.Ordinal);
            Assert.DoesNotContain(ServiceFactory.FirstKey, text, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("{\"name\": \"\", \"scope\": \"caption\"}")]
    [InlineData("{\"name\": \"a\\nb\", \"scope\": \"caption\"}")]
    [InlineData("{\"name\": \"a\", \"scope\": \"all\"}")]
    [InlineData("{\"name\": \"a\"}")]
    [InlineData("{\"name\": \"a\", \"scope\": \"caption\", \"days\": 0}")]
    public async Task A_key_that_cannot_be_made_is_told(string json) =>
        (await Answer.To(service.Admin, "/keys", new StringContent(json, Encoding.UTF8, "application/json"))).IsProblem(400, "invalid_option");

    [Fact]
    public void Equal_texts_have_different_hashes_that_fit_both()
    {
        string text = KeyText.New("abcdefghijkl"), one = KeyText.Hash(text), other = KeyText.Hash(text);
        Assert.NotEqual(one, other);
        Assert.True(KeyText.Matches(text, one) && KeyText.Matches(text, other));
        Assert.False(KeyText.Matches(KeyText.New("abcdefghijkl"), one));
        Assert.Equal("abcdefghijkl", KeyText.IdIn(text));
    }

    [Fact]
    public async Task On_its_own_machine_a_service_asks_for_keys_once_there_is_one()
    {
        await using var factory = new ServiceFactory(ServiceFactory.WithoutModels);
        using HttpClient client = await factory.Start(ready: false);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/models", Service.Cancellation)).StatusCode);
        client.DefaultRequestHeaders.Add("X-Api-Key", "what libraries send where nothing is needed");
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/models", Service.Cancellation)).StatusCode);

        Answer made = await Answer.To(client, "/keys", new StringContent("""{"name": "first", "scope": "admin"}""", Encoding.UTF8, "application/json"));
        (await Answer.Get(client, "/models")).IsProblem(401, "bad_key");
        client.DefaultRequestHeaders.Remove("X-Api-Key");
        client.DefaultRequestHeaders.Add("X-Api-Key", (string)made.Body["key"]!);
        Assert.Equal(200, (await Answer.Get(client, "/models")).Status);
    }
}

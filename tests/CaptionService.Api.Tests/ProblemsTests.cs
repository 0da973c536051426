using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace CaptionService.Api.Tests;

public sealed class ProblemsTests(Service service)
{
    [Theory]
    [InlineData("GET", "/nothing", 404, "not_found")]
    [InlineData("POST", "/captions/", 415, "not_a_photo")]      // the same address
    [InlineData("GET", "/captions", 405, "method_not_allowed")]
    [InlineData("DELETE", "/models", 405, "method_not_allowed")]
    [InlineData("GET", "/models/none", 404, "model_not_found")]
    [InlineData("GET", "/problems/none", 404, "not_found")]
    [InlineData("POST", "/captions?model=none", 404, "model_not_found")]
    public async Task Whatever_is_not_a_success_is_a_problem(string method, string path, int status, string code)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        request.Headers.Accept.ParseAdd("image/webp");      // even to who accepts no JSON
        if (method == "POST")
        {
            request.Content = new StringContent("no photo");
        }
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        Answer answer = (await Answer.Read(response)).IsProblem(status, code);
        Assert.Equal(path.Split('?')[0], (string?)answer.Body["instance"]);
    }

    [Fact]
    public async Task The_trace_id_is_the_callers()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/nothing");
        request.Headers.Add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        using HttpResponseMessage response = await service.Client.SendAsync(request, Service.Cancellation);

        Assert.Equal("0af7651916cd43dd8448eb211c80319c", (string?)(await Answer.Read(response)).Body["traceId"]);
    }

    [Fact]
    public async Task A_problems_type_can_be_opened()
    {
        string type = (string)(await Answer.Get(service.Client, "/nothing")).Body["type"]!;

        JsonNode kind = (await Answer.Get(service.Client, type)).Body;

        Assert.Equal("not_found", (string?)kind["code"]);
        Assert.NotEmpty((string)kind["whatToDo"]!);
    }

    [Fact]
    public void Codes_are_unique_and_every_kind_is_in_the_table()
    {
        Assert.Equal(ProblemTable.All.Count, ProblemTable.All.Select(kind => kind.Code).Distinct().Count());
        object?[] declared = [.. typeof(ProblemTable).GetFields(System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static)
            .Where(field => field.FieldType == typeof(ProblemKind)).Select(field => field.GetValue(null))];
        Assert.Equal(declared.Order(Comparer<object?>.Create((a, b) => string.CompareOrdinal(a?.ToString(), b?.ToString()))),
            ProblemTable.All.Order(Comparer<ProblemKind>.Create((a, b) => string.CompareOrdinal(a.ToString(), b.ToString()))));
    }

    [Theory]
    [InlineData(400, "malformed_body")]
    [InlineData(408, "request_timeout")]
    [InlineData(413, "body_too_large")]
    public void What_the_server_refuses_while_it_reads_a_body_is_in_the_table(int status, string code) =>
        Assert.Equal(code, ProblemTable.Of(new BadHttpRequestException("no", status)).Code);

    [Fact]
    public void An_exception_nobody_expected_tells_callers_nothing()
    {
        var details = ProblemsApi.Details(new InvalidOperationException("password=secret"));

        Assert.Equal(StatusCodes.Status500InternalServerError, details.Status);
        Assert.DoesNotContain("secret", details.Detail, StringComparison.Ordinal);
    }
}
